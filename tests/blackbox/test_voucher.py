"""``ando voucher``, the installed command, from outside."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from ando_cli.inference import paid
from ando_cli.mpp.challenge import parse_challenges
from ando_cli.mpp.credential import VoucherPayload, authorization
from ando_cli.session.channel import Channel, State
from ando_cli.session.record.store import Store
from ando_cli.tempo.channel import ChannelTerms
from ando_cli.tempo.keys import PrivateKey
from ando_cli.tempo.protocol import Protocol
from tests.support.cli_box import KEY, MILLION
from tests.support.forked import constants

if TYPE_CHECKING:
    from tests.support.cli_box import Box, Done, Gateway

PAYEE = "0x" + "ee" * 20
ESCROW = "0x" + "e5" * 20
CHAIN_ID = 42_431
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
UNKNOWN = "0x" + "c4" * 32
NAMES = {"v1": "Tempo Stream Channel", "v2": "TIP20 Channel Reserve"}
WIDTHS = {"v1": "uint128", "v2": "uint96"}
ANYWHERE = ("--channel", UNKNOWN, "--escrow", ESCROW, "--chain-id", str(CHAIN_ID))


@pytest.fixture(params=["v1", "v2"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def owner(box: Box) -> Box:
    """A machine with a wallet, and no state."""
    box.environment["ANDO_PRIVATE_KEY"] = KEY.to_hex()
    return box


def record(box: Box, protocol: str = "v1", salt: int = 1, signer: str = KEY.address, **changes: Any) -> str:
    """Put a channel on record, with a deposit of 5 of which 1 is signed for; returns its id."""
    unique = {"expiring_nonce_hash": f"0x{salt:064x}"} if protocol == "v2" else {}
    terms = ChannelTerms(
        payer=KEY.address, payee=f"0x{salt:040x}", token="0x20c0" + "0" * 35 + "1", salt=f"0x{salt:064x}",
        authorized_signer=signer, escrow=ESCROW, chain_id=CHAIN_ID, protocol=Protocol(protocol), **unique,
    )  # fmt: skip
    usual: dict[str, Any] = {"state": State.OPEN, "deposit": 5 * MILLION, "cumulative_amount": MILLION}
    with closing(Store(box.home / "state" / "sessions.db")) as store:
        store.add(
            Channel(
                channel_id=terms.channel_id, network="tempo", terms=terms,
                gateway="https://gateway.example" if salt == 1 else f"https://gateway-{salt}.example",
                **(usual | changes),
            )
        )  # fmt: skip
    return terms.channel_id


def on_record(box: Box, channel_id: str) -> int:
    """What the record says was signed for."""
    with closing(Store(box.home / "state" / "sessions.db")) as store:
        channel = store.channel(channel_id)
    assert channel is not None
    return channel.cumulative_amount


def reference(channel_id: str, cumulative_amount: int, protocol: str) -> tuple[str, str]:
    """The digest and the signature that eth_account makes of the voucher as typed data."""
    document: dict[str, Any] = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Voucher": [
                {"name": "channelId", "type": "bytes32"},
                {"name": "cumulativeAmount", "type": WIDTHS[protocol]},
            ],
        },
        "primaryType": "Voucher",
        "domain": {"name": NAMES[protocol], "version": "1", "chainId": CHAIN_ID, "verifyingContract": ESCROW},
        "message": {"channelId": bytes.fromhex(channel_id[2:]), "cumulativeAmount": cumulative_amount},
    }
    signed = Account.sign_message(encode_typed_data(full_message=document), KEY.secret)
    return "0x" + bytes(signed.message_hash).hex(), "0x" + bytes(signed.signature).hex()


def shows_no_signature(done: Done) -> None:
    """Neither of a voucher's halves is anywhere in what the command wrote."""
    assert not [word for word in (done.stdout + done.stderr).split() if word.startswith("0x") and len(word) > 66]


def test_sign_prints_the_signature_alone_and_raises_the_record(owner: Box, protocol: str) -> None:
    channel_id = record(owner, protocol)
    done = owner.run("voucher", "sign", "--channel", channel_id[:8], "--amount", "1.25", "--yes", "-vv").worked()
    digest, signature = reference(channel_id, 1_250_000, protocol)
    assert done.stdout == signature + "\n"
    assert "a voucher is money" in done.stderr
    assert signature[2:] not in done.stderr
    assert channel_id not in done.stderr
    assert on_record(owner, channel_id) == 1_250_000
    shown = owner.run("voucher", "sign", "--channel", channel_id[2:9], "--base-units", "1250000", "-j").worked().json
    assert shown == {
        "channelId": channel_id,
        "cumulativeAmount": "1250000",
        "signature": signature,
        "digest": digest,
        "domain": {"name": NAMES[protocol], "version": "1", "chainId": CHAIN_ID, "verifyingContract": ESCROW},
    }
    assert list(shown) == ["channelId", "cumulativeAmount", "signature", "digest", "domain"]


@pytest.mark.parametrize("amount", ["1", "0.5"])
def test_an_amount_that_was_signed_for_before_is_signed_without_asking(owner: Box, amount: str) -> None:
    channel_id = record(owner)
    before = owner.records()
    done = owner.run("voucher", "sign", "--channel", channel_id, "--amount", amount).worked()
    assert done.stdout == reference(channel_id, int(float(amount) * MILLION), "v1")[1] + "\n"
    assert "a voucher is money" in done.stderr
    assert owner.records() == before


def test_nothing_is_signed_above_the_deposit_whatever_the_flags_say(owner: Box, protocol: str) -> None:
    channel_id = record(owner, protocol)
    for flags in ([], ["--yes"], ["--max-spend", "100", "--yes"]):
        done = owner.run("voucher", "sign", "--channel", channel_id, "--amount", "5.000001", *flags)
        assert "deposit" in done.refused(4), flags
    assert on_record(owner, channel_id) == MILLION
    owner.run("voucher", "sign", "--channel", channel_id, "--amount", "5", "--yes").worked()


def test_a_raise_needs_consent_and_keeps_to_the_caps(owner: Box) -> None:
    channel_id = record(owner)
    sign = ("voucher", "sign", "--channel", channel_id, "--amount", "1.5")
    assert "--max-spend 0.50" in owner.run(*sign).refused(4)
    assert "--max-spend 0.50" in owner.run(*sign, "--max-spend", "0.49").refused(4)
    assert "--max-spend 0.50" in owner.run(*sign, ANDO_MAX_SPEND="0.49").refused(4)
    assert owner.run(*sign, "-j").error["code"] == "consent_required"
    assert owner.run(*sign, "-j", "--max-spend", "0.49").error["code"] == "max_spend_exceeded"
    assert on_record(owner, channel_id) == MILLION
    owner.run(*sign, "--max-spend", "0.5").worked()
    assert on_record(owner, channel_id) == 1_500_000
    passed = owner.run(*sign[:-1], "3", "--yes", ANDO_MAX_SPEND="0.5").worked()
    assert "is above the 0.50 of max_spend" in passed.stderr


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 4), ("", 4)])
def test_on_a_terminal_it_asks(owner: Box, answer: str, code: int) -> None:
    channel_id = record(owner)
    run = owner.terminal("voucher", "sign", "--channel", channel_id, "--amount", "2", pipe_out=True)
    question = run.until("[y/N]")
    assert "A voucher is money" in question
    assert "2.00 in all, 1.00 more than before" in question
    run.type(answer + "\n")
    done = run.end()
    assert done.code == code
    assert done.stdout == (reference(channel_id, 2 * MILLION, "v1")[1] + "\n" if code == 0 else "")
    assert on_record(owner, channel_id) == (2 * MILLION if code == 0 else MILLION)


def test_what_cannot_be_recorded_is_not_signed(owner: Box) -> None:
    channel_id = record(owner)
    with closing(sqlite3.connect(owner.home / "state" / "sessions.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        soon = constants({"session.record.database.BUSY_SECONDS": 0.2})
        done = owner.run("voucher", "sign", "--channel", channel_id, "--amount", "2", "--yes", **soon)
    assert "in use" in done.refused(1)
    assert on_record(owner, channel_id) == MILLION


def test_a_channel_that_is_not_open_is_not_raised(owner: Box) -> None:
    channel_id = record(owner, state=State.CLOSING)
    assert "closing" in owner.run("voucher", "sign", "--channel", channel_id, "--amount", "2", "--yes").refused(4)
    assert owner.run("voucher", "sign", "--channel", channel_id, "--amount", "1").worked().stdout
    assert on_record(owner, channel_id) == MILLION


def test_only_the_channels_own_signer_signs(owner: Box) -> None:
    channel_id = record(owner, signer=PAYEE)
    done = owner.run("voucher", "sign", "--channel", channel_id, "--amount", "2", "--yes")
    assert "the key that signs for this channel" in done.refused(1)
    assert on_record(owner, channel_id) == MILLION
    bare = owner.run("voucher", "sign", "--channel", channel_id, "--amount", "2", "--yes", ANDO_PRIVATE_KEY=None)
    bare.refused(1)
    assert on_record(owner, channel_id) == MILLION


def test_the_channel_is_found_by_a_unique_prefix(owner: Box) -> None:
    ids = [record(owner, salt=salt) for salt in range(1, 20)]
    twice = next(one[:3] for one in ids if sum(other.startswith(one[:3]) for other in ids) > 1)
    sign = ("voucher", "sign", "--amount", "1", "--channel")
    assert "give more of the id" in owner.run(*sign, twice).refused(2)
    for wrong in ("0xzz", "0x", UNKNOWN, "0x" + "9" * 20):
        owner.run(*sign, wrong).refused(2)
    assert (
        owner.run(*sign, f"{ids[3][:10]}…{ids[3][-4:]}").worked().stdout == reference(ids[3], MILLION, "v1")[1] + "\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--amount", "1", "--base-units", "1000000"],
        ["--amount", "0"],
        ["--amount", "-1"],
        ["--amount", "1.0000001"],
        ["--base-units", "1.5"],
        ["--base-units", "-1"],
        ["--base-units", str(2**128)],
        ["--base-units", str(2**96), "--protocol", "v2"],
        ["--amount", "1", "--protocol", "v3"],
        ["--amount", "1", "--escrow", "0x12"],
        ["--amount", "1", "--chain-id", "0"],
        ["--amount", "1", "--chain-id", str(2**53)],
    ],
)
def test_a_flag_that_is_wrong_is_a_usage_error(owner: Box, arguments: list[str]) -> None:
    where = ["--channel", UNKNOWN, "--escrow", ESCROW, "--chain-id", "1", "--protocol", "v1", "--yes"]
    owner.run("voucher", "sign", *where, *arguments).refused(2)
    assert not (owner.home / "state").exists()


def test_sign_needs_no_state_where_everything_is_given(owner: Box, protocol: str) -> None:
    sign = ("voucher", "sign", *ANYWHERE, "--protocol", protocol, "--base-units", "7")
    assert "not on record" in owner.run(*sign, "--max-spend", "5").refused(4)
    done = owner.run(*sign, "--yes").worked()
    assert done.stdout == reference(UNKNOWN, 7, protocol)[1] + "\n"
    assert "its deposit is unknown" in done.stderr
    assert "a voucher is money" in done.stderr
    assert not (owner.home / "state").exists()
    asked = owner.terminal(*sign, pipe_out=True)
    asked.until("not on record? [y/N]")
    asked.type("y\n")
    assert asked.end().worked().stdout == done.stdout


@pytest.mark.parametrize("left_out", ["--escrow", "--chain-id", "--protocol"])
def test_a_channel_that_is_not_on_record_is_described_in_full_or_not_at_all(owner: Box, left_out: str) -> None:
    flags = {"--escrow": ESCROW, "--chain-id": "1", "--protocol": "v1"}
    given = [word for name, value in flags.items() if name != left_out for word in (name, value)]
    for channel in (UNKNOWN, UNKNOWN[:20]):
        done = owner.run("voucher", "sign", "--channel", channel, *given, "--amount", "1", "--yes")
        done.refused(2)


def test_flags_do_not_get_round_the_record(owner: Box) -> None:
    channel_id = record(owner)
    where = ["--escrow", ESCROW, "--chain-id", str(CHAIN_ID), "--protocol", "v1"]
    sign = ("voucher", "sign", "--channel", "0x" + channel_id[2:].upper(), "--amount", "6", "--yes")
    assert "above the deposit" in owner.run(*sign, *where).refused(4)
    for name, other in (("--escrow", PAYEE), ("--chain-id", "1"), ("--protocol", "v2")):
        assert name in owner.run(*sign, *where, name, other).refused(2)
    assert on_record(owner, channel_id) == MILLION


@pytest.mark.parametrize("command", ["sign", "verify"])
def test_a_stray_argument_is_not_repeated(owner: Box, command: str) -> None:
    stray = reference(UNKNOWN, 7, "v1")[1]
    more = ["--signature", stray] if command == "verify" else []
    done = owner.run("voucher", command, *ANYWHERE, "--protocol", "v1", "--amount", "1", *more, stray)
    assert stray[2:] not in done.refused(2)


def test_verify_takes_both_forms_of_a_good_signature(owner: Box, protocol: str) -> None:
    channel_id = record(owner, protocol)
    signature = bytes.fromhex(reference(channel_id, 1_250_000, protocol)[1][2:])
    parity = (signature[64] - 27) << 7
    compact = signature[:32] + bytes([signature[32] | parity]) + signature[33:64]
    verify = ("voucher", "verify", "--channel", channel_id[:10], "--amount", "1.25", "--signature")
    for form in (f"0x{signature.hex()}", signature.hex().upper(), f"0x{compact.hex()}"):
        done = owner.run(*verify, form, ANDO_PRIVATE_KEY=None).worked()
        assert done.stdout == f"valid: 1.25 in all from {channel_id[:10]}…{channel_id[-4:]}\n"
        assert done.stderr == ""
    assert owner.run(*verify, "-", stdin=f"0x{signature.hex()}\n").worked().stdout.startswith("valid")
    assert owner.run(*verify, f"0x{signature.hex()}", "-j").worked().json == {"valid": True, "reason": None}
    anywhere = ("--escrow", ESCROW, "--chain-id", str(CHAIN_ID), "--protocol", protocol, "--signer", KEY.address)
    empty = {"ANDO_HOME": str(owner.folder / "elsewhere")}
    whole = ("voucher", "verify", "--channel", channel_id, "--amount", "1.25", "--signature", f"0x{signature.hex()}")
    assert owner.run(*whole, *anywhere, **empty).worked().stdout.startswith("valid")
    assert "--signer" in owner.run(*whole, *anywhere[:-2], **empty).refused(2)
    assert "--signer" in owner.run(*whole, "--signer", PAYEE).refused(2)


def test_verify_refuses_a_bad_signature_and_says_why(owner: Box, protocol: str) -> None:
    channel_id = record(owner, protocol)
    good = bytes.fromhex(reference(channel_id, MILLION, protocol)[1][2:])
    high = good[:32] + (ORDER - int.from_bytes(good[32:64], "big")).to_bytes(32, "big") + bytes([55 - good[64]])
    digest = bytes.fromhex(reference(channel_id, MILLION, protocol)[0][2:])
    other = PrivateKey.parse("11" * 32).sign(digest)
    cases = {
        "high s": high,
        "27 or 28": good[:64] + b"\x01",
        "not a signature": good[:40],
        "another account": other,
        "not valid for any key": bytes(64) + b"\x1b",
    }
    verify = ("voucher", "verify", "--channel", channel_id, "--amount")
    for reason, signature in cases.items():
        done = owner.run(*verify, "1", "--signature", f"0x{signature.hex()}")
        assert reason in done.refused(4)
        shown = owner.run(*verify, "1", "--signature", f"0x{signature.hex()}", "-j")
        assert shown.code == 4
        assert shown.json["valid"] is False
        assert reason in shown.json["reason"]
        shows_no_signature(done)
    assert "another account" in owner.run(*verify, "1.01", "--signature", f"0x{good.hex()}").refused(4)
    assert "not a signature" in owner.run(*verify, "1", "--signature", "nonsense").refused(4)
    assert "not a signature" in owner.run(*verify, "1", "--signature", "-", stdin=b"\xff\xfe").refused(4)


def test_inspect_reads_what_sign_prints(owner: Box, protocol: str) -> None:
    signed = owner.run("voucher", "sign", *ANYWHERE, "--protocol", protocol, "--amount", "1.25", "--yes", "-j").worked()
    done = owner.run("voucher", "inspect", stdin=signed.out).worked()
    assert (done.json["type"], done.json["protocol"], done.json["cumulativeAmount"]) == ("voucher", protocol, "1250000")
    assert done.json["signer"] == f"{KEY.address[:10]}…{KEY.address[-4:]}"
    assert done.stderr == ""
    for secret in (signed.json["signature"], UNKNOWN, KEY.address, ESCROW):
        assert secret[2:] not in done.stdout
    assert "\n  " in done.stdout, "for people"
    shown = owner.run("voucher", "inspect", "--reveal", "-j", "-", stdin=signed.out).worked()
    assert shown.stdout.count("\n") == 1
    assert shown.json == {"type": "voucher", **signed.json, "protocol": protocol, "signer": KEY.address}
    warned = owner.run("voucher", "inspect", signed.stdout).worked()
    assert "give a voucher on stdin" in warned.stderr
    assert signed.json["signature"][2:] not in warned.stderr


def test_inspect_reads_what_a_gateway_and_a_client_send(gateway: Gateway, box: Box) -> None:
    answer = httpx.post(f"{gateway.base_url}/mpp/chat/completions", content=paid.smallest().body, trust_env=False)
    value = answer.headers["WWW-Authenticate"]
    done = box.run("voucher", "inspect", stdin=value).worked()
    [challenge], _ = parse_challenges([value])
    assert (done.json["type"], done.json["id"], done.json["method"]) == ("challenge", "[hidden]", "tempo")
    assert done.json["request"]["amount"] == "1000000"
    assert challenge.id not in done.stdout
    assert box.run("voucher", "inspect", value).worked().stderr == "", "a challenge is no secret"
    revealed = box.run("voucher", "inspect", "--reveal", f"WWW-Authenticate: {value}").worked().json
    assert revealed["id"] == challenge.id
    signature = reference(UNKNOWN, 7, "v1")[1]
    credential = authorization(challenge, VoucherPayload(UNKNOWN, 7, signature), chain_id=CHAIN_ID, payer=KEY.address)
    secrets = (signature[2:], UNKNOWN[2:], KEY.address[2:], challenge.id, challenge.request)
    for form in (credential, credential.split()[1], f"authorization: {credential}\r\n"):
        hidden = box.run("voucher", "inspect", "-vv", stdin=form).worked()
        assert (hidden.json["type"], hidden.json["payload"]["signature"]) == ("credential", "[hidden]")
        assert not [secret for secret in secrets if secret in hidden.stdout + hidden.stderr]
    warned = box.run("voucher", "inspect", *credential.split()).worked()
    assert "give a credential on stdin" in warned.stderr
    assert not [secret for secret in secrets if secret in warned.stdout + warned.stderr]
    assert box.run("voucher", "inspect", "--reveal", stdin=credential).worked().json["payload"] == {
        "action": "voucher", "channelId": UNKNOWN, "cumulativeAmount": "7", "signature": signature,
    }  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [b"", b"  \n", b"nonsense!", b"{", b"{}", b"\xff\xfe", b"Payment eyJhIjoxfQ", b"Payment id=x", b"a" * 300_000],
)
def test_what_cannot_be_inspected_is_one_line(box: Box, value: bytes) -> None:
    done = box.run("voucher", "inspect", "--reveal", stdin=value)
    assert (done.code, done.out) == (2, b"")
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert box.run("voucher", "inspect", "-j", stdin=value).error["code"] == "not_inspectable"
    assert not box.home.exists(), "looking makes nothing"


def test_the_sandboxs_own_channel_is_signed_for_like_any_other(box: Box) -> None:
    box.run("--sandbox", "chat", "hi").worked()
    [channel] = box.run("--sandbox", "session", "list", "--full").worked().json
    signed = (
        box.run("--sandbox", "voucher", "sign", "--channel", channel["id"][:6], "--amount", "2", "-j").worked().json
    )
    verify = ("--sandbox", "voucher", "verify", "--channel", channel["id"][:6], "--amount", "2", "--signature")
    assert box.run(*verify, signed["signature"]).worked().stdout.startswith("valid")
    assert "deposit" in box.run("--sandbox", "voucher", "sign", "--channel", channel["id"], "--amount", "50").refused(4)
