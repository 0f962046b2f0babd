"""What must never be shown or written down, at any verbosity: keys, addresses, credentials, receipts, prompts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ando_cli.sandbox.faults import Fault
from tests.support.badluck import Answer, Seen, relaying
from tests.support.cli_box import KEY, Done
from tests.support.witness import PROMPT, SYSTEM, Witness, decoded

if TYPE_CHECKING:
    from tests.support.cli_box import Gateway

BODY = json.dumps({"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 8})
PATH = "/mpp/chat/completions"
LOUD = ("-vvv", "--yes")


def test_nothing_secret_is_shown_or_written_down_at_any_verbosity(gateway: Gateway) -> None:
    box = gateway.box
    gateway.change(suggested_deposit=1_000_000)
    with relaying(gateway) as relay:
        witness = Witness(relay, gateway)
        asked = ("chat", PROMPT, "-s", SYSTEM, "--max-tokens", "8", *LOUD)
        request = ("request", "--json", BODY, "-i", "-D", "head.txt", "-o", "body.txt", *LOUD, PATH)
        runs: list[Done] = [
            box.run(*asked, "--dry-run"),
            box.run(*asked, "--usage"),
            box.run(*asked, "--usage", "-j"),
            box.run(*request),
            box.run("request", "--json", BODY, "-i", *LOUD, PATH),
            box.run("session", "open", *LOUD),
            box.run("session", "list", "-vvv"),
        ]
        offline = box.run("request", "--offline", "--json", BODY, *LOUD, PATH)
        assert offline.worked().stdout.endswith(BODY), "the very purpose of --offline is to show what would be sent"
        runs.append(Done(offline.code, offline.out.replace(BODY.encode(), b""), offline.err))
        assert all(run.code == 0 for run in runs)
        for fault in (
            Fault(on="voucher", code="mpp_voucher_bucket_refresh_required"),  # raises, and tops up
            Fault(on="voucher", code="mpp_payment_verification_failed"),
            Fault(on="unpaid", challenge_lies={"chainId": 1}),
            Fault(on="unpaid", challenge_lies={"recipient": "0x" + "5b" * 20}),
            Fault(on="voucher", receipt_lies={"channelId": "0x" + "ab" * 32}),
            Fault(on="unpaid", drop="before"),
        ):
            gateway.fail(fault)
            runs += [box.run(*asked), box.run(*request)]
        gateway.faults.clear()
        relay.instead = quoting
        runs += [box.run(*asked), box.run(*asked, "-j")]
        assert {seen.credential is not None for seen in relay.seen} == {True, False}
    shown = [run.stdout + run.stderr for run in runs]
    given_away = [(text, witness.found_in(text)) for text in shown if witness.found_in(text)]
    assert given_away == []
    store = box.home / "state"
    files = [path for path in box.folder.rglob("*") if path.is_file() and not path.name.startswith("chain.db")]
    assert {"head.txt", "body.txt"} <= {path.name for path in files}
    for path in files:
        found = witness.found_in(path.read_bytes().decode("latin-1"))
        if path.parent == store and path.name.startswith("sessions.db"):
            # It knows the parties and what it has signed; no more than that.
            found -= {"the payer's address", "the payee's address", "a transaction"}
        assert found == set(), path.name


def quoting(seen: Seen) -> Answer | None:
    """A gateway that quotes in its error whatever it was sent."""
    if seen.credential is None:
        return None
    encoded = seen.credential.removeprefix("Payment ")
    payload = decoded(encoded)["payload"]
    quoted = f"bad credential {encoded} of {KEY.address} with {payload['signature']}"
    return Answer(403, [("Content-Type", "application/json")], json.dumps({"code": "odd", "message": quoted}).encode())


def test_a_key_that_is_nearly_one_is_not_shown_either(gateway: Gateway) -> None:
    nearly = KEY.to_hex()[:-1]
    for variable in ("ANDO_PRIVATE_KEY", "TEMPO_PRIVATE_KEY"):
        variables = {"ANDO_PRIVATE_KEY": None, variable: nearly}
        for options in ((), ("-j",)):
            done = gateway.box.run("chat", "hi", *LOUD, *options, stdin=b"", **variables)
            assert done.code == 1
            assert variable in done.stdout + done.stderr
            assert nearly[2:] not in done.stdout + done.stderr


def test_the_password_of_an_rpc_url_is_not_shown(gateway: Gateway) -> None:
    url = "http://user:hunter2@127.0.0.1:9/v2/api-key-0123"
    for options in ((), ("-j",), ("--dry-run",)):
        done = gateway.box.run("chat", "hi", *LOUD, *options, "--rpc-url", url)
        assert "hunter2" not in done.stdout + done.stderr
        assert "api-key-0123" not in done.stdout + done.stderr
