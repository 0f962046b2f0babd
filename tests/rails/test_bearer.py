"""The rail of a Virtual Key against the sandbox: where the key goes, what is asked again, what the ledger keeps."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.conversation.stream import AnswerStream, stream_answer
from ando_cli.errors import (
    AndoError,
    LostAnswerError,
    NetworkError,
    PaymentError,
    ServerError,
    UntrustedError,
)
from ando_cli.http.client import AndoClient
from ando_cli.inference import account, paid
from ando_cli.inference.models import MODELS_PATH
from ando_cli.inference.request import Request
from ando_cli.inference.stream import Piece
from ando_cli.rails.bearer import LONGEST_PAUSE, MAX_RETRIES, BearerAuth
from ando_cli.sandbox.faults import Fault
from ando_cli.sandbox.server import Sandbox, SandboxConfig
from ando_cli.session.record.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

MODEL = "Qwen/Qwen3-8B-AWQ"
BODY = b'{"model":"Qwen/Qwen3-8B-AWQ","messages":[{"role":"user","content":"my secret prompt"}],"max_tokens":64}'
ASKED = account.check_chat(json.loads(BODY), BODY)
STREAMED = BODY[:-1] + b',"stream":true,"stream_options":{"include_usage":true}}'
STREAM_ASKED = account.check_chat(json.loads(STREAMED), STREAMED)


class Holder:
    """Somebody with a Virtual Key, who never really waits."""

    def __init__(self, sandbox: Sandbox, store: Path, *, key: str | None = None, base_url: str | None = None) -> None:
        self.sandbox = sandbox
        self.path = store
        self.pauses: list[float] = []
        self.stages: list[str] = []
        self.warnings: list[str] = []
        self.store = Store(store)
        self.base_url = base_url or sandbox.base_url
        self.client = AndoClient(
            self.base_url,
            BearerAuth(
                key or sandbox.virtual_key,
                base_url=self.base_url,
                gateway="sandbox",
                store=lambda: self.store,
                stage=self.stages.append,
                warn=self.warnings.append,
                sleep=self.pauses.append,
            ),
            bearer=True,
            connect_timeout=5,
            timeout=5,
        )

    def fail(self, *faults: Fault) -> None:
        self.sandbox.faults.push(*faults)

    def ask(self) -> httpx.Response:
        return self.client.post(ASKED)

    def stream(self) -> tuple[list[Piece], AnswerStream]:
        with stream_answer(self.client, STREAM_ASKED) as answer:
            return list(answer), answer

    @property
    def requests(self) -> int:
        return len(self.sandbox.gateway.log)

    @property
    def rows(self) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(self.path)) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute("SELECT * FROM ledger ORDER BY id")]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(SandboxConfig(path=tmp_path_factory.mktemp("bearer") / "chain.db")) as running:
        yield running


@pytest.fixture
def holder(sandbox: Sandbox, tmp_path: Path) -> Iterator[Holder]:
    sandbox.faults.clear()
    sandbox.gateway.log.clear()
    held = Holder(sandbox, tmp_path / "store.db")
    yield held
    held.client.close()
    held.store.close()


def test_the_key_is_sent_as_a_bearer_and_the_answer_is_booked_with_its_tokens(holder: Holder) -> None:
    answer = holder.ask().json()
    [entry] = holder.sandbox.gateway.log
    assert (entry.action, entry.schemes) == ("chat", ("Bearer",))
    [row] = holder.rows
    usage = answer["usage"]
    assert (row["rail"], row["outcome"], row["model"], row["session"]) == ("key", "answered", MODEL, 0)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert (row["spent"], row["authorised"], row["deposited"]) == (None, "0", "0")
    kept = b"".join(path.read_bytes() for path in holder.path.parent.iterdir())
    assert b"secret prompt" not in kept
    assert holder.sandbox.virtual_key.encode() not in kept


def test_looking_up_the_models_is_no_use_of_the_key(holder: Holder) -> None:
    assert MODEL.encode() in holder.client.get(MODELS_PATH)
    assert holder.rows == []


def test_the_mpp_route_and_other_origins_never_see_the_key(holder: Holder) -> None:
    with pytest.raises(PaymentError):  # its challenge is not answered either
        holder.client.post(paid.smallest())
    [entry] = holder.sandbox.gateway.log
    assert (entry.authorization, entry.schemes) == (False, ())
    holder.sandbox.gateway.log.clear()
    port = holder.base_url.rpartition(":")[2]
    other = f"http://localhost:{port}/models"
    holder.client.send(Request(other, method="GET", headers=()))
    assert [entry.schemes for entry in holder.sandbox.gateway.log] == [()]


def test_over_plain_http_the_key_goes_to_this_machine_alone(holder: Holder, tmp_path: Path) -> None:
    far = Holder(holder.sandbox, tmp_path / "far.db", base_url="http://gateway.example/v1")
    with pytest.raises(UntrustedError) as refused:
        far.ask()
    assert refused.value.code == "insecure_transport"


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_busy_or_broken_gateway_is_asked_again_with_the_same_bytes(holder: Holder, status: int) -> None:
    holder.fail(Fault(on="chat", status=status, times=2))
    holder.ask()
    log = list(holder.sandbox.gateway.log)
    assert len(log) == 3
    assert len({(entry.body_sha256, entry.idempotency_key_sha256) for entry in log}) == 1
    assert log[0].idempotency_key_sha256 is not None
    assert 0.4 <= holder.pauses[0] <= 0.6
    assert 0.8 <= holder.pauses[1] <= 1.2
    assert [row["outcome"] for row in holder.rows] == ["answered"]


def test_it_is_asked_again_only_so_often(holder: Holder) -> None:
    holder.fail(Fault(on="chat", status=503, times=None))
    with pytest.raises(ServerError) as failed:
        holder.ask()
    assert holder.requests == MAX_RETRIES + 1
    assert "request " in failed.value.message  # the id to tell the gateway
    assert [row["outcome"] for row in holder.rows] == ["failed"]


def test_retry_after_is_honoured_and_a_long_one_told(holder: Holder) -> None:
    holder.fail(Fault(on="chat", status=429, headers={"Retry-After": "7"}))
    holder.ask()
    assert holder.pauses == [7.0]
    assert any("7 s" in stage for stage in holder.stages)
    holder.fail(Fault(on="chat", status=429, headers={"Retry-After": str(int(LONGEST_PAUSE) + 1)}))
    with pytest.raises(ServerError) as busy:
        holder.ask()
    assert busy.value.code == "rate_limited"
    assert "61 seconds" in (busy.value.hint or "")
    assert (busy.value.retryable, busy.value.retry_after) == (True, 61)
    assert holder.pauses == [7.0]


@pytest.mark.parametrize("status", [400, 404, 501])
def test_what_asking_again_cannot_mend_is_asked_once(holder: Holder, status: int) -> None:
    holder.fail(Fault(on="chat", status=status))
    with pytest.raises(ServerError):
        holder.ask()
    assert holder.requests == 1


def test_a_wrong_key_is_told_without_repeating_it(holder: Holder, tmp_path: Path) -> None:
    wrong = "sk-wrong-0123456789"
    other = Holder(holder.sandbox, tmp_path / "other.db", key=wrong)
    holder.fail(Fault(on="chat", code="invalid_api_key", message=f"Incorrect API key provided: {wrong}."))
    for _ in range(2):  # as a server that quotes the key, then as ours
        with pytest.raises(ServerError) as refused:
            other.ask()
        assert refused.value.code == "key_refused"
        assert wrong not in refused.value.message
    assert [row["outcome"] for row in other.rows] == ["failed", "failed"]


def test_an_exhausted_budget_is_no_challenge_and_never_paid(holder: Holder) -> None:
    challenge = 'Payment id="x", realm="r", method="tempo", intent="session", request="e30"'
    holder.fail(Fault(on="chat", code="budget_exhausted", headers={"WWW-Authenticate": challenge}))
    with pytest.raises(PaymentError) as exhausted:
        holder.ask()
    assert exhausted.value.code == "key_budget_exhausted"
    assert holder.requests == 1


@pytest.mark.parametrize("drop", ["before", "after", "headers"])
def test_an_answer_that_is_lost_is_not_asked_for_again_and_its_outcome_is_unknown(holder: Holder, drop: str) -> None:
    holder.fail(Fault(on="chat", drop=drop))
    with pytest.raises(NetworkError) as lost:
        holder.ask()
    assert lost.value.code == "outcome_unknown"
    assert holder.requests == 1
    assert [row["outcome"] for row in holder.rows] == ["unknown"]


def test_a_request_that_never_left_has_failed(holder: Holder, tmp_path: Path) -> None:
    nowhere = Holder(holder.sandbox, tmp_path / "nowhere.db", base_url="http://127.0.0.1:9/v1")
    with pytest.raises(NetworkError) as unsent:
        nowhere.ask()
    assert unsent.value.code == "connect_failed"
    assert [row["outcome"] for row in nowhere.rows] == ["failed"]


def test_a_ledger_that_cannot_be_written_is_told_and_the_key_still_pays(holder: Holder) -> None:
    holder.store.close()
    holder.path.unlink()
    holder.path.mkdir()
    auth = BearerAuth(
        holder.sandbox.virtual_key, base_url=holder.base_url, gateway="sandbox", store=lambda: Store(holder.path),
        warn=holder.warnings.append,
    )  # fmt: skip
    client = AndoClient(holder.base_url, auth, bearer=True, connect_timeout=5, timeout=5)
    assert client.post(ASKED).is_success
    assert any("not in the ledger" in warning for warning in holder.warnings)


def test_a_streamed_answer_comes_in_pieces_and_is_booked_at_its_end(holder: Holder) -> None:
    with stream_answer(holder.client, STREAM_ASKED) as answer:
        pieces = iter(answer)
        first = next(pieces)
        assert [row["outcome"] for row in holder.rows] == ["unknown"]
        rest = list(pieces)
    whole = "".join(piece.text for piece in (first, *rest))
    assert whole == holder.ask().json()["choices"][0]["message"]["content"]
    assert len(rest) > 3
    assert answer.usage.completion_tokens
    assert holder.rows[0]["outcome"] == "answered"
    assert holder.rows[0]["completion_tokens"] == answer.usage.completion_tokens


@pytest.mark.parametrize(
    ("stream", "error", "outcome"),
    [
        ({"break_after": 3}, "answer_cut", "unknown"),
        ({"end_after": 3}, "answer_cut", "unknown"),
        ({"malformed_after": 3}, "unexpected_answer", "failed"),
        ({"error_after": 3}, None, "failed"),
    ],
)
def test_a_stream_that_goes_wrong_is_an_error_after_what_came(
    holder: Holder, stream: dict[str, Any], error: str | None, outcome: str
) -> None:
    holder.fail(Fault(on="chat", stream=stream))
    came = []
    with pytest.raises(AndoError) as broken, stream_answer(holder.client, STREAM_ASKED) as answer:  # noqa: PT012
        for piece in answer:
            came.append(piece)
    assert came
    assert error in (None, broken.value.code)
    assert [row["outcome"] for row in holder.rows] == [outcome]


@pytest.mark.parametrize(
    "event", [": a comment", "data: {}", 'data: {"choices":[]}', "event: ping\ndata: {}", 'data: {"choices":[7,{}]}']
)
def test_events_without_words_are_passed_over(holder: Holder, event: str) -> None:
    holder.fail(Fault(on="chat", stream={"insert": [1, event + "\n\n"]}))
    pieces, _ = holder.stream()
    assert "".join(piece.text for piece in pieces).startswith("This is a canned answer")


@pytest.mark.parametrize("event", ["data: []", "data: nope", "data: " + "[" * 100_000])
def test_events_that_are_none_end_the_answer(holder: Holder, event: str) -> None:
    holder.fail(Fault(on="chat", stream={"insert": [1, event + "\n\n"]}))
    with pytest.raises(ServerError):
        holder.stream()


def test_an_answer_in_one_piece_will_do_where_a_stream_was_asked_for(holder: Holder) -> None:
    answer = b'{"choices":[{"message":{"content":"all at once"}}],"usage":{"prompt_tokens":1,"completion_tokens":3}}'
    holder.fail(Fault(on="chat", status=200, body_text=answer.decode()))
    pieces, stream = holder.stream()
    assert pieces == [Piece("all at once")]
    assert stream.usage.completion_tokens == 3


def test_a_refused_stream_is_refused_as_any_request(holder: Holder) -> None:
    holder.fail(Fault(on="chat", code="budget_exhausted"))
    with pytest.raises(PaymentError) as exhausted:
        holder.stream()
    assert exhausted.value.code == "key_budget_exhausted"


def test_a_stream_without_end_is_given_up(holder: Holder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ando_cli.http.transport.STREAM_LIMIT", 300)
    with pytest.raises(NetworkError):
        holder.stream()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_a_stream_that_lies_about_its_coding_is_an_error_or_read_as_it_is(holder: Holder, coding: str) -> None:
    holder.fail(Fault(on="chat", headers={"Content-Encoding": coding}))
    if coding == "gzip":
        with pytest.raises(ServerError) as unreadable:
            holder.stream()
        assert unreadable.value.code == "unexpected_answer"
        assert [row["outcome"] for row in holder.rows] == ["failed"]
    else:
        pieces, _ = holder.stream()
        assert "".join(piece.text for piece in pieces).startswith("This is a canned answer")


def test_of_an_answer_to_the_key_no_more_is_kept_than_of_a_paid_one(
    holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ando_cli.http.transport.PAID_BODY_LIMIT", 100)
    holder.fail(Fault(on="chat", status=200, body_bytes=5_000))
    with pytest.raises(LostAnswerError) as caught:
        holder.ask()
    assert (caught.value.code, caught.value.body) == ("answer_cut", b" " * 100)
