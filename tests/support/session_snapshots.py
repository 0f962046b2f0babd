"""A v2 channel of this wallet, and what an honest gateway tells about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ando_cli.session.channel import ChannelKey
from ando_cli.tempo.channel import ChannelState, ChannelTerms
from ando_cli.tempo.network import PRECOMPILE
from ando_cli.tempo.protocol import Protocol
from ando_cli.tempo.voucher import sign_voucher
from tests.support.session_doubles import CHAIN_ID, GATEWAY, KEY, MILLION, NETWORK, PAYEE, TOKEN

if TYPE_CHECKING:
    from ando_cli.tempo.keys import PrivateKey

SIGNED = 3 * MILLION
SPENT = 2 * MILLION
SETTLED = MILLION
DEPOSIT = 5 * MILLION
TERMS = ChannelTerms(
    payer=KEY.address, payee=PAYEE, token=TOKEN, salt=f"0x{7:064x}", authorized_signer=KEY.address,
    escrow=PRECOMPILE, chain_id=CHAIN_ID, protocol=Protocol.V2, expiring_nonce_hash=f"0x{9:064x}",
)  # fmt: skip
PURPOSE = ChannelKey(
    gateway=GATEWAY, network=NETWORK.name, chain_id=CHAIN_ID, escrow=PRECOMPILE, token=TOKEN, payee=PAYEE,
    payer=KEY.address,
)  # fmt: skip


def signature(amount: int = SIGNED, *, terms: ChannelTerms = TERMS, key: PrivateKey = KEY) -> str:
    return sign_voucher(
        key, terms.channel_id, amount, escrow=terms.escrow, chain_id=terms.chain_id, protocol=terms.protocol
    )


def snapshot(amount: int = SIGNED, *, terms: ChannelTerms = TERMS, key: PrivateKey = KEY) -> dict[str, Any]:
    """What an honest gateway tells."""
    return {
        "acceptedCumulative": str(amount),
        "chainId": terms.chain_id,
        "channelId": terms.channel_id,
        "deposit": str(DEPOSIT),
        "descriptor": terms.descriptor,
        "escrow": terms.escrow,
        "highestVoucher": {
            "channelId": terms.channel_id,
            "cumulativeAmount": str(amount),
            "signature": signature(amount, terms=terms, key=key),
        },
        "requiredCumulative": str(amount),
        "settled": str(SETTLED),
        "spent": str(min(SPENT, amount)),
        "units": 4,
    }


def on_chain(deposit: int = DEPOSIT, settled: int = SETTLED, requested: int = 0) -> ChannelState:
    """The channel as the precompile tells it."""
    return ChannelState(
        finalized=deposit == 0, close_requested_at=requested, payer=None, payee=None, token=None,
        authorized_signer=None, deposit=deposit, settled=settled,
    )  # fmt: skip
