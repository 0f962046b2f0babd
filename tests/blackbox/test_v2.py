"""The whole life of a session on the v2 precompile, as its owner sees it: the same commands, another escrow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.mpp.base64url import decode_object
from ando_cli.sandbox.config import ESCROW
from ando_cli.sandbox.faults import Fault
from ando_cli.tempo.network import PRECOMPILE
from tests.support.badluck import Purse, Relay, Seen, accepted, ask, holdings, paid, relaying, rows
from tests.support.cli_box import KEY, MILLION

if TYPE_CHECKING:
    from tests.support.cli_box import Box, Gateway

GRACE = 15 * 60
OPERATOR = "0x" + "0a" * 20
REFRESH = "mpp_voucher_bucket_refresh_required"


@pytest.fixture(params=[False, True], ids=["own fee", "fee payer"])
def v2(gateway: Gateway, request: pytest.FixtureRequest) -> Gateway:
    """A gateway that takes v2 alone, where the wallet or the gateway pays the fees."""
    gateway.change(protocol="v2", fee_payer=request.param)
    return gateway


@pytest.fixture
def own_fee(gateway: Gateway) -> Gateway:
    """A gateway that takes v2 alone."""
    gateway.change(protocol="v2")
    return gateway


def purse(gateway: Gateway) -> Purse:
    """The store's live channels, and what the precompile holds."""
    live = [channel for channel in rows(gateway.box, "channels") if channel["state"] in ("opening", "open")]
    return Purse(
        channels=len(live),
        authorised=sum(int(channel["cumulative_amount"]) for channel in live),
        deposit=sum(int(channel["deposit"]) for channel in live),
        moved=holdings(gateway, PRECOMPILE),
    )


ONE_CHANNEL = Purse(channels=1, authorised=MILLION, deposit=5 * MILLION, moved=5 * MILLION)


def payloads(relay: Relay) -> list[dict[str, Any]]:
    """What the credentials that were sent say, one after the other."""
    return [dict(decode_object(value.removeprefix("Payment "))["payload"]) for value in relay.credentials]


def session(box: Box) -> dict[str, Any]:
    [only] = box.run("session", "list", "--full", "-j").worked().json
    assert isinstance(only, dict)
    return only


def test_the_first_request_opens_a_channel_and_is_answered(v2: Gateway) -> None:
    ask(v2).worked()
    assert v2.actions == ["unpaid", "open"]
    assert purse(v2) == ONE_CHANNEL
    [row] = rows(v2.box, "channels")
    assert (row["protocol"], row["escrow"], row["state"]) == ("v2", PRECOMPILE, "open")
    assert int(row["expiring_nonce_hash"], 16) != 0
    assert [each["channel_id"] for each in accepted(v2)] == [row["channel_id"]]


def test_three_turns_are_paid_with_one_voucher(v2: Gateway) -> None:
    for _ in range(3):
        ask(v2).worked()
    assert v2.actions == ["unpaid", "open", "unpaid", "voucher", "unpaid", "voucher"]
    assert purse(v2) == ONE_CHANNEL


def test_a_bucket_that_is_used_up_is_refreshed_by_one_challenge_amount(v2: Gateway) -> None:
    v2.warm_up()
    v2.fail(Fault(on="voucher", code=REFRESH))
    ask(v2).worked()
    assert purse(v2) == Purse(1, 2 * MILLION, 5 * MILLION, 5 * MILLION)


def test_a_deposit_that_is_used_up_is_topped_up_in_the_middle_of_a_request(v2: Gateway) -> None:
    v2.change(suggested_deposit=MILLION)
    v2.warm_up()
    v2.fail(Fault(on="voucher", code=REFRESH))
    ask(v2).worked()
    assert [entry.action for entry in paid(v2)] == ["voucher", "topUp", "voucher"]
    assert purse(v2) == Purse(1, 2 * MILLION, 2 * MILLION, 2 * MILLION)


def test_a_channel_is_topped_up_by_hand(v2: Gateway) -> None:
    v2.warm_up()
    assert "deposit 7.50" in v2.box.run("session", "topup", "2.5", "--yes").worked().stdout
    assert v2.actions == ["unpaid", "topUp"]
    assert holdings(v2, PRECOMPILE) == 7_500_000


def test_a_close_captures_what_was_spent_and_refunds_the_rest(v2: Gateway) -> None:
    v2.warm_up()
    spent, before = session(v2.box)["spent"], v2.balance
    shown = v2.box.run("session", "close", "-j").worked().json
    assert (shown["action"], shown["captured"]) == ("closed", spent)
    assert v2.balance - before == round(float(shown["refunded"]) * MILLION)
    assert holdings(v2, PRECOMPILE) == 0
    assert session(v2.box)["state"] == "closed"


def test_a_close_on_the_chain_takes_the_money_back_after_the_grace_period(v2: Gateway) -> None:
    box = v2.warm_up().box
    requested = box.run("session", "close", "--force", "-j").worked().json
    assert GRACE - 30 < requested["seconds_left"] <= GRACE
    assert re.search(r"1[45] min \d+ s left", box.run("session", "close", "--finish").refused(4))
    v2.sandbox.rpc("evm_increaseTime", GRACE)
    done = box.run("session", "close", "--finish").worked()
    assert "closed: 0.00 captured, 5.00 refunded" in done.stdout
    assert holdings(v2, PRECOMPILE) == 0
    assert session(box)["state"] == "closed"
    assert v2.actions == []


def test_a_chat_after_a_close_opens_another_channel(v2: Gateway) -> None:
    v2.warm_up()
    v2.box.run("session", "close").worked()
    ask(v2).worked()
    assert sorted(row["state"] for row in rows(v2.box, "channels")) == ["closed", "open"]


# What is sent


def test_every_payload_describes_its_channel(own_fee: Gateway) -> None:
    with relaying(own_fee) as relay:
        ask(own_fee).worked()
        own_fee.box.run("session", "topup", "1", "--yes").worked()
        ask(own_fee).worked()
        own_fee.box.run("session", "close").worked()
        sent = payloads(relay)
    assert [payload["action"] for payload in sent] == ["open", "topUp", "voucher", "close"]
    [described] = {tuple(payload["descriptor"].items()) for payload in sent}
    assert {payload["channelId"] for payload in sent} == {rows(own_fee.box, "channels")[0]["channel_id"]}
    assert dict(described)["payer"] == KEY.address


def test_the_operator_of_the_challenge_is_carried_into_the_channel(own_fee: Gateway) -> None:
    own_fee.change(operator=OPERATOR)
    ask(own_fee).worked()
    assert rows(own_fee.box, "channels")[0]["operator"] == OPERATOR
    assert purse(own_fee) == ONE_CHANNEL


# Lost and killed


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_open_whose_answer_never_comes_is_found_by_the_next_run(v2: Gateway, moment: str) -> None:
    v2.fail(Fault(on="open", drop=moment, times=2))
    assert "whether it was charged is unknown" in ask(v2).refused(3)
    [signed] = rows(v2.box, "channels")
    ask(v2).worked()
    # v2's id is bound to the open transaction: only the very same one opens the channel that is on record.
    assert paid(v2)[-1].action == ("open" if moment == "before" else "voucher")
    assert [row["channel_id"] for row in rows(v2.box, "channels")] == [signed["channel_id"]]
    assert purse(v2) == ONE_CHANNEL


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_top_up_whose_answer_never_comes_is_not_paid_twice(v2: Gateway, moment: str) -> None:
    v2.warm_up()
    v2.fail(Fault(on="topUp", drop=moment, times=2))
    assert v2.box.run("session", "topup", "2", "--yes", "-j").code == 3
    ask(v2).worked()
    # What never arrived is sent with the next request, the same transaction.
    assert purse(v2) == Purse(1, MILLION, 7 * MILLION, 7 * MILLION)


# What is refused


@pytest.mark.parametrize(
    ("offered", "lies"),
    [
        ("v2", {"escrow": ESCROW}),
        ("v2", {"sessionProtocol": None}),
        ("v2", {"sessionProtocol": "v1"}),
        ("v1", {"escrow": PRECOMPILE}),
        ("v1", {"sessionProtocol": "v2"}),
    ],
)
def test_a_protocol_that_does_not_fit_its_escrow_is_refused(
    gateway: Gateway, offered: str, lies: dict[str, Any]
) -> None:
    gateway.change(protocol=offered)
    gateway.fail(Fault(on="unpaid", challenge_lies=lies))
    done = ask(gateway, "-j")
    assert (done.code, done.error["code"]) == (4, "untrusted_escrow")
    assert (paid(gateway), rows(gateway.box, "channels")) == ([], [])


@pytest.mark.parametrize("named", ["v3", "V2", "precompile"])
def test_a_protocol_that_nobody_knows_is_refused(own_fee: Gateway, named: str) -> None:
    own_fee.fail(Fault(on="unpaid", challenge_lies={"sessionProtocol": named}))
    done = ask(own_fee, "-j")
    assert (done.code, done.error["code"]) == (4, "unsupported_session_protocol")
    assert paid(own_fee) == []


@pytest.mark.parametrize("lie", ["amount", "suggestedDeposit"])
def test_an_amount_that_v2_cannot_hold_is_refused(own_fee: Gateway, lie: str) -> None:
    own_fee.fail(Fault(on="unpaid", challenge_lies={lie: str(2**96)}))
    done = ask(own_fee, "-j")
    assert (done.code, done.error["code"]) == (4, "amount_too_large")
    assert (paid(own_fee), rows(own_fee.box, "channels")) == ([], [])


def test_a_deposit_that_v2_cannot_hold_is_refused_before_anything_is_signed(own_fee: Gateway) -> None:
    for arguments in (("open", "--deposit", str(2**96)), ("topup", str(2**96))):
        done = own_fee.box.run("session", *arguments, "--yes", "-j")
        assert done.code in (2, 4), arguments
    assert (paid(own_fee), rows(own_fee.box, "channels")) == ([], [])


# The choice between both


def protocols(box: Box) -> list[str]:
    """The protocol of each channel, oldest first."""
    return [row["protocol"] for row in rows(box, "channels")]


@pytest.mark.parametrize("first", ["v1", "v2"])
def test_of_two_protocols_the_first_is_taken_and_kept_whatever_the_order_is_later(gateway: Gateway, first: str) -> None:
    gateway.change(protocol="both", first_protocol=first)
    ask(gateway).worked()
    gateway.change(first_protocol="v2" if first == "v1" else "v1")
    ask(gateway).worked()
    assert gateway.actions == ["unpaid", "open", "unpaid", "voucher"]
    assert protocols(gateway.box) == [first]


def test_an_offer_that_cannot_be_paid_is_passed_over_for_the_other(gateway: Gateway) -> None:
    gateway.change(protocol="both", first_protocol="v2")
    gateway.fail(Fault(on="unpaid", challenge_lies={"only": "v2", "escrow": OPERATOR}))
    ask(gateway).worked()
    assert protocols(gateway.box) == ["v1"]


@pytest.mark.parametrize("wanted", ["v1", "v2"])
def test_the_protocol_can_be_chosen_where_there_is_a_choice(gateway: Gateway, wanted: str) -> None:
    gateway.change(protocol="both", first_protocol="v2" if wanted == "v1" else "v1")
    gateway.box.run("session", "open", "--protocol", wanted, "--yes").worked()
    assert protocols(gateway.box) == [wanted]
    ask(gateway).worked()
    assert protocols(gateway.box) == [wanted]


@pytest.mark.parametrize(("offered", "wanted"), [("v1", "v2"), ("v2", "v1")])
def test_a_protocol_that_is_not_offered_is_refused(gateway: Gateway, offered: str, wanted: str) -> None:
    gateway.change(protocol=offered)
    refusal = gateway.box.run("session", "open", "--protocol", wanted, "--yes").refused(4)
    assert f"the gateway offers session protocol {offered}, not {wanted}" in refusal
    assert (paid(gateway), rows(gateway.box, "channels")) == ([], [])


def test_a_protocol_that_nobody_knows_cannot_be_chosen(own_fee: Gateway) -> None:
    own_fee.box.run("session", "open", "--protocol", "v3", "--yes").refused()
    assert own_fee.actions == []


def test_with_a_channel_of_each_either_can_be_closed(gateway: Gateway) -> None:
    gateway.change(protocol="both")
    ids = {}
    for protocol in ("v1", "v2"):
        gateway.box.run("session", "open", "--protocol", protocol, "--yes").worked()
        ids[protocol] = rows(gateway.box, "channels")[-1]["channel_id"]
    for protocol in ("v1", "v2"):
        gateway.box.run("session", "close", ids[protocol]).worked()
    assert [row["state"] for row in rows(gateway.box, "channels")] == ["closed", "closed"]


# Hints


def lose_the_record(box: Box) -> None:
    """The store is gone, with all that was known of channels."""
    for path in (box.home / "state").glob("sessions.db*"):
        path.unlink()


def say_who_asks(seen: Seen) -> None:
    """Let the gateway recognise the payer, so that its challenge tells of the channel."""
    seen.headers["payment-session"] = KEY.address


def test_a_lost_record_is_brought_back_by_a_hint_that_carries_our_own_signature(own_fee: Gateway) -> None:
    with relaying(own_fee) as relay:
        relay.instead = say_who_asks
        ask(own_fee).worked()
        own_fee.fail(Fault(on="voucher", code=REFRESH))
        ask(own_fee).worked()
        before = purse(own_fee)
        lose_the_record(own_fee.box)
        own_fee.forget_log()
        shown = own_fee.box.run("-v", "chat", "hi", "--max-tokens", "8").worked()
    assert "found an open channel" in shown.stderr
    assert own_fee.actions == ["unpaid", "voucher"]
    assert purse(own_fee) == before == Purse(1, 2 * MILLION, 5 * MILLION, 5 * MILLION)


@pytest.mark.parametrize(
    "lie",
    [
        {"highestVoucher": None},
        {"acceptedCumulative": str(5 * MILLION)},
        {"channelId": "0x" + "ab" * 32},
        {"escrow": ESCROW},
        {"descriptor": {"payer": KEY.address}},
    ],
)
def test_a_hint_that_proves_nothing_is_ignored(own_fee: Gateway, lie: dict[str, Any]) -> None:
    with relaying(own_fee) as relay:
        relay.instead = say_who_asks
        ask(own_fee).worked()
        lose_the_record(own_fee.box)
        own_fee.fail(Fault(on="unpaid", snapshot_lies=lie))
        shown = ask(own_fee, "-v").worked()
    assert "the gateway's hint was ignored" in shown.stderr
    # The chain shows the channel all the same, and nothing of what was signed for it counts but what is settled.
    assert own_fee.actions == ["unpaid", "open", "unpaid", "voucher"]
    assert purse(own_fee) == Purse(1, MILLION, 5 * MILLION, 5 * MILLION)


def test_a_store_that_is_behind_catches_up_where_a_rejection_proves_it(own_fee: Gateway) -> None:
    ask(own_fee).worked()
    store = own_fee.box.home / "state" / "sessions.db"
    copied = store.read_bytes()
    own_fee.fail(Fault(on="voucher", code=REFRESH))
    ask(own_fee).worked()
    lose_the_record(own_fee.box)
    store.write_bytes(copied)
    own_fee.forget_log()
    ask(own_fee).worked()
    assert own_fee.actions == ["unpaid", "voucher", "voucher"]
    assert purse(own_fee) == Purse(1, 2 * MILLION, 5 * MILLION, 5 * MILLION)


def test_recover_asks_the_gateway_what_was_signed_where_it_is_told_to(own_fee: Gateway) -> None:
    ask(own_fee).worked()
    own_fee.fail(Fault(on="voucher", code=REFRESH))
    ask(own_fee).worked()
    before, [known] = purse(own_fee), rows(own_fee.box, "channels")
    lose_the_record(own_fee.box)
    own_fee.forget_log()
    [found] = own_fee.box.run("session", "recover", "--ask-gateway", "--full", "-j").worked().json["channels"]
    assert (found["id"], found["outcome"], found["authorised"]) == (known["channel_id"], "recovered", "2.00")
    assert (own_fee.actions, purse(own_fee)) == (["unpaid"], before)
    ask(own_fee).worked()
    assert own_fee.actions == ["unpaid", "unpaid", "voucher"]
    assert purse(own_fee) == before


@pytest.mark.parametrize("lie", [{"highestVoucher": None}, {"acceptedCumulative": "4000000"}, {"absent": True}])
def test_recover_takes_nothing_from_a_gateway_that_proves_nothing(own_fee: Gateway, lie: dict[str, Any]) -> None:
    ask(own_fee).worked()
    lose_the_record(own_fee.box)
    own_fee.fail(Fault(on="unpaid", snapshot_lies=lie))
    done = own_fee.box.run("session", "recover", "--ask-gateway").worked()
    assert "the gateway proved nothing" in done.stderr
    assert "authorised 0.00" in done.stdout


def test_recover_does_without_a_gateway_that_is_gone(own_fee: Gateway) -> None:
    ask(own_fee).worked()
    lose_the_record(own_fee.box)
    done = own_fee.box.run("session", "recover", "--ask-gateway", ANDO_BASE_URL="http://127.0.0.1:9/v1").worked()
    assert "cannot connect" in done.stderr
    assert "recovered" in done.stdout
    own_fee.box.run("session", "recover", "--ask-gateway", "--authorised", "1").refused()
