// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// The part of a TIP-20 token that an escrow needs.
interface ITIP20 {
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

/// @title Payment channels paid by signed vouchers, first version
/// @notice A stand-in, for tests, for the v1 escrow contract that the Tempo session method uses. Names, types, events and
/// errors are those of the deployed contract, so that what passes here is what a client would send there.
///
/// Who is the authority for what:
/// - `deposit` is what the payer put in; it rises by `topUp` and is never touched by the payee.
/// - a voucher signed by the authorized signer says the total that the payee may take; it is cumulative.
/// - `settled` is what the payee took; it only rises, never above a signed voucher and never above the deposit.
///
/// `topUp` cancels a pending close request, as the deployed contract does: who puts money in wants the channel to go on.
///
/// The end of a channel wipes its record, as the deployed contract does: `getChannel` then returns finalized = true and
/// zeros. What was captured stands in `ChannelClosed` alone. (protocol.md, section 4.)
contract TempoStreamChannel {
    struct Channel {
        bool finalized;
        uint64 closeRequestedAt;
        address payer;
        address payee;
        address token;
        address authorizedSigner;
        uint128 deposit;
        uint128 settled;
    }

    /// Seconds between a payer's `requestClose` and its `withdraw`: the payee's time to present its last voucher.
    uint64 public constant CLOSE_GRACE_PERIOD = 15 minutes;

    bytes32 public constant VOUCHER_TYPEHASH = keccak256("Voucher(bytes32 channelId,uint128 cumulativeAmount)");

    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    /// Half the order of secp256k1. Of the two values of s that sign the same digest only the lower one is accepted.
    uint256 private constant HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    mapping(bytes32 channelId => Channel) private _channels;

    event ChannelOpened(
        bytes32 indexed channelId,
        address indexed payer,
        address indexed payee,
        address token,
        address authorizedSigner,
        bytes32 salt,
        uint256 deposit
    );
    event TopUp(
        bytes32 indexed channelId,
        address indexed payer,
        address indexed payee,
        uint256 additionalDeposit,
        uint256 newDeposit
    );
    event Settled(
        bytes32 indexed channelId,
        address indexed payer,
        address indexed payee,
        uint256 cumulativeAmount,
        uint256 deltaPaid,
        uint256 newSettled
    );
    event CloseRequested(
        bytes32 indexed channelId, address indexed payer, address indexed payee, uint256 closeGraceEnd
    );
    event CloseRequestCancelled(bytes32 indexed channelId, address indexed payer, address indexed payee);
    /// The end of a channel, whichever way: by the payee's `close` or by the payer's `withdraw`.
    event ChannelClosed(
        bytes32 indexed channelId,
        address indexed payer,
        address indexed payee,
        uint256 settledToPayee,
        uint256 refundedToPayer
    );
    /// Beside `ChannelClosed`, when it was the payer who withdrew after the grace period.
    event ChannelExpired(bytes32 indexed channelId, address indexed payer, address indexed payee);

    error AmountExceedsDeposit();
    error AmountNotIncreasing();
    error ChannelAlreadyExists();
    error ChannelFinalized();
    error ChannelNotFound();
    error CloseNotReady();
    error DepositOverflow();
    error InvalidPayee();
    error InvalidSignature();
    error NotPayee();
    error NotPayer();
    error TransferFailed();

    /// Moves `deposit` from the caller into a new channel.
    /// @param authorizedSigner whose vouchers count; zero means the payer's own.
    function open(address payee, address token, uint128 deposit, bytes32 salt, address authorizedSigner)
        external
        returns (bytes32 channelId)
    {
        if (payee == address(0)) revert InvalidPayee();
        channelId = computeChannelId(msg.sender, payee, token, salt, authorizedSigner);
        if (_channels[channelId].payer != address(0) || _channels[channelId].finalized) revert ChannelAlreadyExists();

        _channels[channelId] = Channel({
            finalized: false,
            closeRequestedAt: 0,
            payer: msg.sender,
            payee: payee,
            token: token,
            authorizedSigner: authorizedSigner,
            deposit: deposit,
            settled: 0
        });
        emit ChannelOpened(channelId, msg.sender, payee, token, authorizedSigner, salt, deposit);
        _pull(token, deposit);
    }

    /// Adds to the deposit. The amount is a uint256 in the deployed contract too; the deposit itself stays a uint128.
    function topUp(bytes32 channelId, uint256 additionalDeposit) external {
        Channel storage channel = _forPayer(channelId);
        if (additionalDeposit > type(uint128).max - channel.deposit) revert DepositOverflow();
        channel.deposit += uint128(additionalDeposit);

        if (channel.closeRequestedAt != 0) {
            channel.closeRequestedAt = 0;
            emit CloseRequestCancelled(channelId, channel.payer, channel.payee);
        }
        emit TopUp(channelId, channel.payer, channel.payee, additionalDeposit, channel.deposit);
        _pull(channel.token, additionalDeposit);
    }

    /// Pays the payee up to a voucher; the channel stays open.
    function settle(bytes32 channelId, uint128 cumulativeAmount, bytes calldata signature) external {
        Channel storage channel = _forPayee(channelId);
        if (cumulativeAmount <= channel.settled) revert AmountNotIncreasing();
        uint128 delta = _capture(channel, channelId, cumulativeAmount, signature);
        emit Settled(channelId, channel.payer, channel.payee, cumulativeAmount, delta, channel.settled);
        _push(channel.token, channel.payee, delta);
    }

    /// Pays the payee up to a voucher, gives the rest back to the payer, and ends the channel.
    /// A payee that claims nothing beyond what it has settled needs no voucher.
    function close(bytes32 channelId, uint128 cumulativeAmount, bytes calldata signature) external {
        Channel storage channel = _forPayee(channelId);
        uint128 delta = 0;
        if (cumulativeAmount < channel.settled) revert AmountNotIncreasing();
        if (cumulativeAmount > channel.settled) delta = _capture(channel, channelId, cumulativeAmount, signature);
        (Channel memory ended, uint128 refund) = _finalize(channel, channelId);
        _push(ended.token, ended.payee, delta);
        _push(ended.token, ended.payer, refund);
    }

    /// Starts the grace period. Asking again does not start it anew.
    function requestClose(bytes32 channelId) external {
        Channel storage channel = _forPayer(channelId);
        if (channel.closeRequestedAt != 0) return;
        channel.closeRequestedAt = uint64(block.timestamp);
        emit CloseRequested(channelId, channel.payer, channel.payee, block.timestamp + CLOSE_GRACE_PERIOD);
    }

    /// Gives the payer what was not settled, once the grace period is over, and ends the channel.
    function withdraw(bytes32 channelId) external {
        Channel storage channel = _forPayer(channelId);
        uint64 requestedAt = channel.closeRequestedAt;
        if (requestedAt == 0 || block.timestamp < requestedAt + CLOSE_GRACE_PERIOD) revert CloseNotReady();
        emit ChannelExpired(channelId, channel.payer, channel.payee);
        (Channel memory ended, uint128 refund) = _finalize(channel, channelId);
        _push(ended.token, ended.payer, refund);
    }

    /// All zero for a channel that was never opened; all zero but for `finalized` once it is over.
    function getChannel(bytes32 channelId) external view returns (Channel memory) {
        return _channels[channelId];
    }

    function computeChannelId(address payer, address payee, address token, bytes32 salt, address authorizedSigner)
        public
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(payer, payee, token, salt, authorizedSigner, address(this), block.chainid));
    }

    function domainSeparator() public view returns (bytes32) {
        return keccak256(
            abi.encode(
                DOMAIN_TYPEHASH, keccak256("Tempo Stream Channel"), keccak256("1"), block.chainid, address(this)
            )
        );
    }

    function getVoucherDigest(bytes32 channelId, uint128 cumulativeAmount) public view returns (bytes32) {
        bytes32 structHash = keccak256(abi.encode(VOUCHER_TYPEHASH, channelId, cumulativeAmount));
        return keccak256(abi.encodePacked(hex"1901", domainSeparator(), structHash));
    }

    function _forPayer(bytes32 channelId) private view returns (Channel storage channel) {
        channel = _alive(channelId);
        if (msg.sender != channel.payer) revert NotPayer();
    }

    function _forPayee(bytes32 channelId) private view returns (Channel storage channel) {
        channel = _alive(channelId);
        if (msg.sender != channel.payee) revert NotPayee();
    }

    function _alive(bytes32 channelId) private view returns (Channel storage channel) {
        channel = _channels[channelId];
        if (channel.finalized) revert ChannelFinalized();
        if (channel.payer == address(0)) revert ChannelNotFound();
    }

    /// Raises `settled` to a voucher's amount, if the voucher is good, and returns what is owed for it.
    function _capture(Channel storage channel, bytes32 channelId, uint128 cumulativeAmount, bytes calldata signature)
        private
        returns (uint128 delta)
    {
        if (cumulativeAmount > channel.deposit) revert AmountExceedsDeposit();
        address signer = channel.authorizedSigner == address(0) ? channel.payer : channel.authorizedSigner;
        if (_recover(getVoucherDigest(channelId, cumulativeAmount), signature) != signer) revert InvalidSignature();
        delta = cumulativeAmount - channel.settled;
        channel.settled = cumulativeAmount;
    }

    /// Wipes the record, and returns what it was.
    function _finalize(Channel storage channel, bytes32 channelId)
        private
        returns (Channel memory ended, uint128 refund)
    {
        ended = channel;
        refund = ended.deposit - ended.settled;
        delete _channels[channelId];
        _channels[channelId].finalized = true;
        emit ChannelClosed(channelId, ended.payer, ended.payee, ended.settled, refund);
    }

    function _recover(bytes32 digest, bytes calldata signature) private pure returns (address signer) {
        if (signature.length != 65) revert InvalidSignature();
        uint8 v = uint8(signature[64]);
        if ((v != 27 && v != 28) || uint256(bytes32(signature[32:64])) > HALF_ORDER) revert InvalidSignature();
        signer = ecrecover(digest, v, bytes32(signature[:32]), bytes32(signature[32:64]));
        // A digest that recovers to nobody must not match a channel without a signer.
        if (signer == address(0)) revert InvalidSignature();
    }

    function _pull(address token, uint256 amount) private {
        if (!ITIP20(token).transferFrom(msg.sender, address(this), amount)) revert TransferFailed();
    }

    function _push(address token, address to, uint128 amount) private {
        if (amount != 0 && !ITIP20(token).transfer(to, amount)) revert TransferFailed();
    }
}
