"""How the store's records lie in its SQLite file: the schema, and a channel as a row.

Amounts are decimal text: they can pass 64 bits.
"""

from __future__ import annotations

from ando_cli.session.channel import Channel, Doubt, Pending, State
from ando_cli.session.record import claims
from ando_cli.tempo.abi import ZERO_HASH
from ando_cli.tempo.channel import ChannelTerms
from ando_cli.tempo.protocol import Protocol

# ``ledger.session`` is a channel's number, which is never given to another one; 0 where a Virtual Key paid, or the
# channel was forgotten.
# One script a version: a file of version n runs the scripts from n on. Never edit one that was released.
MIGRATIONS = (
    """
    CREATE TABLE channels (
        number INTEGER PRIMARY KEY AUTOINCREMENT, channel_id TEXT NOT NULL UNIQUE,
        gateway TEXT NOT NULL, network TEXT NOT NULL, chain_id INTEGER NOT NULL,
        escrow TEXT NOT NULL, token TEXT NOT NULL, payee TEXT NOT NULL, payer TEXT NOT NULL,
        authorized_signer TEXT NOT NULL, salt TEXT NOT NULL, protocol TEXT NOT NULL, operator TEXT NOT NULL,
        expiring_nonce_hash TEXT NOT NULL, state TEXT NOT NULL, deposit TEXT NOT NULL,
        cumulative_amount TEXT NOT NULL, accepted TEXT NOT NULL, spent TEXT NOT NULL,
        metered INTEGER NOT NULL DEFAULT 0,
        pending_transaction TEXT, pending_amount TEXT, pending_valid_before INTEGER, closes_at INTEGER NOT NULL,
        created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX one_live_channel ON channels (gateway, network, chain_id, escrow, token, payee, payer)
        WHERE state IN ('opening', 'open');
    CREATE TABLE pins (
        gateway TEXT NOT NULL, network TEXT NOT NULL, payee TEXT NOT NULL, pinned_at INTEGER NOT NULL,
        PRIMARY KEY (gateway, network)
    ) STRICT;
    CREATE TABLE ledger (
        id INTEGER PRIMARY KEY, at INTEGER NOT NULL, rail TEXT NOT NULL, gateway TEXT NOT NULL, network TEXT NOT NULL,
        session INTEGER NOT NULL, path TEXT NOT NULL, model TEXT, plan TEXT, outcome TEXT NOT NULL,
        authorised TEXT NOT NULL DEFAULT '0', deposited TEXT NOT NULL DEFAULT '0', spent TEXT,
        prompt_tokens INTEGER, completion_tokens INTEGER
    ) STRICT;
    CREATE INDEX ledger_at ON ledger (at);
    """
    + claims.SCHEMA,
    # What a budget adds up, without looking at the requests that raised nothing.
    """
    CREATE INDEX ledger_raises ON ledger (network, at, authorised, outcome)
        WHERE authorised <> '0' AND outcome <> 'carried'
    """,
    # What a close took is known where the chain proved it. Versions before this one booked for it what a wiped record
    # of the contract said, or what had been offered: that is taken back until it is proven.
    """
    ALTER TABLE channels ADD COLUMN captured TEXT;
    ALTER TABLE ledger ADD COLUMN fee TEXT;
    ALTER TABLE ledger ADD COLUMN fee_at_most TEXT;
    ALTER TABLE ledger ADD COLUMN tx_hash TEXT;
    CREATE INDEX ledger_transactions ON ledger (session, outcome) WHERE outcome IN ('fee', 'closed', 'close_unproven');
    UPDATE channels SET spent = CAST(CAST(spent AS INTEGER) - ifnull((SELECT sum(CAST(ledger.spent AS INTEGER))
        FROM ledger WHERE session = number AND outcome = 'closed'), 0) AS TEXT)
        WHERE state = 'closed' AND length(spent) < 18;
    DELETE FROM ledger WHERE outcome = 'closed'
        AND session IN (SELECT number FROM channels WHERE state = 'closed' AND length(channels.spent) < 18);
    INSERT INTO ledger (at, rail, gateway, network, session, path, outcome)
        SELECT updated_at, 'mpp', gateway, network, number, '', 'close_unproven' FROM channels
        WHERE state = 'closed'
    """,
    # The agreed step of a channel that was opened before there was one is its first raise.
    """
    ALTER TABLE channels ADD COLUMN step TEXT NOT NULL DEFAULT '0';
    ALTER TABLE channels ADD COLUMN doubt INTEGER NOT NULL DEFAULT 0;
    UPDATE channels SET step = ifnull((
        SELECT authorised FROM ledger
        WHERE session = number AND authorised <> '0' AND outcome NOT IN ('carried', 'by_hand') ORDER BY id LIMIT 1
    ), '0')
    """,
    # The request that a channel was opened with: where its gateway is asked to top it up and to close it.
    "ALTER TABLE channels ADD COLUMN route TEXT NOT NULL DEFAULT ''",
    # What of an authorisation the close of its channel proved to be free. Budgets count the rest.
    """
    ALTER TABLE ledger ADD COLUMN freed TEXT NOT NULL DEFAULT '0';
    DROP INDEX ledger_raises;
    CREATE INDEX ledger_raises ON ledger (network, at, authorised, freed, outcome)
        WHERE authorised <> '0' AND outcome <> 'carried'
    """,
    claims.DEADLINES,
    # A dot at the end of a host's name makes no other gateway. Where both spellings were in use, the plain one stays.
    """
    UPDATE OR IGNORE channels SET gateway = substr(gateway, 1, length(gateway) - 1) WHERE gateway LIKE '%.';
    UPDATE OR IGNORE channels SET gateway = replace(gateway, '.:', ':') WHERE gateway LIKE '%.:%';
    UPDATE OR IGNORE pins SET gateway = substr(gateway, 1, length(gateway) - 1) WHERE gateway LIKE '%.';
    UPDATE OR IGNORE pins SET gateway = replace(gateway, '.:', ':') WHERE gateway LIKE '%.:%';
    UPDATE OR IGNORE ledger SET gateway = substr(gateway, 1, length(gateway) - 1) WHERE gateway LIKE '%.';
    UPDATE OR IGNORE ledger SET gateway = replace(gateway, '.:', ':') WHERE gateway LIKE '%.:%';
    """,
)
CHANNEL_COLUMNS = (
    "channel_id, gateway, network, chain_id, escrow, token, payee, payer, authorized_signer, salt, protocol, operator, "
    "expiring_nonce_hash, state, deposit, cumulative_amount, accepted, spent, metered, pending_transaction, "
    "pending_amount, pending_valid_before, closes_at, created_at, updated_at, captured, "
    "step, doubt, route"
)


def channel_row(channel: Channel, now: int) -> tuple[object, ...]:
    """A new channel as the values of ``CHANNEL_COLUMNS``."""
    terms, pending = channel.terms, channel.pending
    return (
        channel.channel_id, channel.gateway, channel.network, terms.chain_id, terms.escrow, terms.token, terms.payee,
        terms.payer, terms.authorized_signer, "" if terms.known_id else terms.salt, terms.protocol, terms.operator,
        terms.expiring_nonce_hash,
        channel.state, str(channel.deposit), str(channel.cumulative_amount), str(channel.accepted), str(channel.spent),
        channel.metered, pending and pending.transaction, str(pending.amount) if pending else None,
        pending and pending.valid_before, channel.closes_at, now, now,
        None if channel.captured is None else str(channel.captured),
        str(channel.step), channel.doubt, channel.route,
    )  # fmt: skip


def read_channel(row: tuple[object, ...]) -> Channel:
    """The channel whose values of ``CHANNEL_COLUMNS`` are ``row``."""
    (
        channel_id, gateway, network, chain_id, escrow, token, payee, payer, signer, salt, protocol, operator,
        nonce_hash, state, deposit, cumulative_amount, accepted, spent, metered, transaction, amount,
        valid_before, closes_at, created_at, updated_at, captured, step, doubt, route,
    ) = row  # fmt: skip
    terms = ChannelTerms(
        payer=str(payer), payee=str(payee), token=str(token), salt=str(salt or ZERO_HASH),
        authorized_signer=str(signer), escrow=str(escrow), chain_id=int(str(chain_id)),
        protocol=Protocol(str(protocol)), operator=str(operator),
        expiring_nonce_hash=str(nonce_hash), known_id="" if salt else str(channel_id),
    )  # fmt: skip
    pending = None
    if transaction is not None:
        pending = Pending(transaction=str(transaction), amount=int(str(amount)), valid_before=int(str(valid_before)))
    return Channel(
        channel_id=str(channel_id), gateway=str(gateway), network=str(network), terms=terms, state=State(str(state)),
        deposit=int(str(deposit)), cumulative_amount=int(str(cumulative_amount)), accepted=int(str(accepted)),
        spent=int(str(spent)), pending=pending, metered=bool(metered), closes_at=int(str(closes_at)),
        created_at=int(str(created_at)), updated_at=int(str(updated_at)),
        captured=None if captured is None else int(str(captured)),
        step=int(str(step)), doubt=Doubt(int(str(doubt))),
        route=str(route),
    )  # fmt: skip
