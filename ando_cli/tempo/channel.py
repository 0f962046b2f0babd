"""The identity of a payment channel, on the v1 contract and on the v2 precompile (docs/protocol.md, section 4)."""

from __future__ import annotations

from ando_cli.frozen import frozen
from ando_cli.tempo.abi import (
    ZERO_ADDRESS,
    ZERO_HASH,
    address_word,
    bytes32_word,
    normalise_address,
    normalise_bytes32,
    uint_word,
)
from ando_cli.tempo.keys import keccak256
from ando_cli.tempo.protocol import Protocol

_ADDRESSES = ("payer", "payee", "token", "authorized_signer", "escrow", "operator")
_WORDS = ("salt", "expiring_nonce_hash")


@frozen
class ChannelTerms:
    """What a channel is made of. All of it is known before anything is sent, and so is the channel's id.

    Attributes:
        payer: whose deposit it is; gets back what was not spent.
        payee: who may settle vouchers.
        token: the TIP-20 token of the deposit.
        salt: 32 random bytes, so that the same two parties can open another channel.
        authorized_signer: whose vouchers count; the zero address means the payer.
        escrow: the contract or precompile that holds the deposit.
        chain_id: the chain that it lives on.
        protocol: which of the two the escrow is.
        operator: v2: who may settle beside the payee; the zero address means nobody.
        expiring_nonce_hash: v2: what ties the id to the one transaction that opens the channel. Zero until that
            transaction is made (:func:`ando_cli.tempo.transaction.open_transaction` fills it in).
        known_id: v1: the id of a channel whose salt is not known, because the chain told everything but that. The salt
            is zero then. Empty for all others, whose id is computed.

    Addresses and words are hex with ``0x``; they are kept in lower case.

    Raises:
        ValueError: a field is malformed, or a v1 channel has what only v2 knows; the message names it.
    """

    payer: str
    payee: str
    token: str
    salt: str
    authorized_signer: str
    escrow: str
    chain_id: int
    protocol: Protocol = Protocol.V1
    operator: str = ZERO_ADDRESS
    expiring_nonce_hash: str = ZERO_HASH
    known_id: str = ""

    def __post_init__(self) -> None:
        # A frozen dataclass is normalised the way its own __init__ fills it in.
        for names, normalise in ((_ADDRESSES, normalise_address), (_WORDS, normalise_bytes32)):
            for name in names:
                try:
                    object.__setattr__(self, name, normalise(getattr(self, name)))
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
        try:
            uint_word(self.chain_id)
        except ValueError as error:
            raise ValueError(f"chain_id: {error}") from None
        try:
            object.__setattr__(self, "protocol", Protocol(self.protocol))
        except ValueError:
            raise ValueError("protocol: neither v1 nor v2") from None
        if self.known_id:
            if self.protocol is not Protocol.V1:
                raise ValueError("known_id: the id of a v2 channel is not enough to name it")
            object.__setattr__(self, "known_id", normalise_bytes32(self.known_id))
        if self.protocol is Protocol.V1:
            for name, default in (("operator", ZERO_ADDRESS), ("expiring_nonce_hash", ZERO_HASH)):
                if getattr(self, name) != default:
                    raise ValueError(f"{name}: a v1 channel has none")

    @property
    def signer(self) -> str:
        """The account whose vouchers count: the authorised signer, or the payer where there is none."""
        return self.payer if self.authorized_signer == ZERO_ADDRESS else self.authorized_signer

    @property
    def channel_id(self) -> str:
        """The ``keccak256`` of the ABI encoding of the terms, as hex.

        v1: payer, payee, token, salt, authorizedSigner, escrow, chainId. v2: the descriptor, escrow, chainId.

        Raises:
            ValueError: a v2 channel whose open transaction was not made yet has no id.
        """
        if self.known_id:
            return self.known_id
        if self.protocol is Protocol.V2:
            identity = self.descriptor_words
        else:
            identity = (
                address_word(self.payer)
                + address_word(self.payee)
                + address_word(self.token)
                + bytes32_word(self.salt)
                + address_word(self.authorized_signer)
            )
        return "0x" + keccak256(identity + address_word(self.escrow) + uint_word(self.chain_id)).hex()

    @property
    def descriptor(self) -> dict[str, str]:
        """The v2 channel as its payloads and the precompile name it.

        Raises:
            ValueError: a v1 channel has none, and a v2 channel has none before its open transaction is made.
        """
        if self.protocol is not Protocol.V2:
            raise ValueError("a v1 channel has no descriptor")
        if self.expiring_nonce_hash == ZERO_HASH:
            raise ValueError("a v2 channel has no id and no descriptor before its open transaction is made")
        return {
            "payer": self.payer,
            "payee": self.payee,
            "operator": self.operator,
            "token": self.token,
            "salt": self.salt,
            "authorizedSigner": self.authorized_signer,
            "expiringNonceHash": self.expiring_nonce_hash,
        }

    @property
    def descriptor_words(self) -> bytes:
        """The descriptor as the precompile's functions take it: seven words.

        Raises:
            ValueError: there is no descriptor.
        """
        return b"".join(bytes.fromhex(value[2:]).rjust(32, b"\0") for value in self.descriptor.values())


@frozen
class ChannelState:
    """A channel as its escrow knows it (docs/protocol.md, section 4).

    Attributes:
        finalized: closed; nothing can be paid from it any more. For v2 see ``Rpc.channel``.
        close_requested_at: Unix time in seconds of the payer's request to close, 0 if there is none.
        payer, payee, token, authorized_signer: lower-case addresses; a zero ``authorized_signer`` means the payer. v2
            keeps none of them (the channel's id is their hash), and here they are ``None``.
        deposit: base units that were ever put in.
        settled: base units of them that the payee has taken.
    """

    finalized: bool
    close_requested_at: int
    payer: str | None
    payee: str | None
    token: str | None
    authorized_signer: str | None
    deposit: int
    settled: int
