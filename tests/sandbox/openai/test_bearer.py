"""The account-owned routes: who may use them, what they answer, what they cost."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.sandbox.server import Sandbox, SandboxConfig
from tests.support.sandbox_key_holder import BODIES, HELLO, MODEL, PATHS, KeyHolder, error_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.sandbox_payer import Payer

ROUTES = tuple(BODIES)


@pytest.fixture
def holder(sandbox: Sandbox) -> KeyHolder:
    return KeyHolder(sandbox)


@pytest.fixture(scope="module")
def refused_holder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyHolder]:
    """One for many requests that shall leave no trace."""
    with Sandbox(SandboxConfig(path=tmp_path_factory.mktemp("refused") / "sandbox.sqlite")) as running:
        yield KeyHolder(running)


def test_the_models_are_listed(holder: KeyHolder) -> None:
    answer = holder.models().json()
    assert answer["object"] == "list"
    assert answer["data"][0]["id"] == MODEL
    for model in answer["data"]:
        assert (model["object"], model["owned_by"], type(model["created"])) == ("model", "ando-sandbox", int)


def test_a_chat_is_answered_in_the_shape_of_openai(holder: KeyHolder) -> None:
    answer = holder.ask().json()
    assert answer["object"] == "chat.completion"
    assert answer["model"] == MODEL
    [choice] = answer["choices"]
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"].startswith("This is a canned answer from the ando sandbox")
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_the_answer_tells_what_was_sent(holder: KeyHolder) -> None:
    turns = [{"role": "system", "content": "be brief"}, *HELLO, {"role": "assistant", "content": "hi"}, *HELLO]
    answer = holder.ask(messages=turns).json()["choices"][0]["message"]["content"]
    assert answer.endswith("Messages received: 1 system, 2 user, 1 assistant.")


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_an_answer_can_be_cut_short(holder: KeyHolder, limit: str) -> None:
    answer = holder.ask(**{limit: 2}).json()
    assert answer["choices"][0] == {
        "index": 0,
        "message": {"role": "assistant", "content": "This is "},
        "finish_reason": "length",
    }
    assert answer["usage"]["completion_tokens"] == 2


def test_thinking_is_beside_the_content(holder: KeyHolder) -> None:
    answer = holder.ask("think").json()
    message = answer["choices"][0]["message"]
    assert message["reasoning_content"].startswith("This is a canned train of thought")
    assert message["content"].startswith("This is a canned answer")
    reasoning = answer["usage"]["completion_tokens_details"]["reasoning_tokens"]
    assert 0 < reasoning < answer["usage"]["completion_tokens"]


def test_thinking_alone_can_use_up_the_limit(holder: KeyHolder) -> None:
    choice = holder.ask("think", max_tokens=3).json()["choices"][0]
    assert choice["message"]["reasoning_content"] == "This is a ca"
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "length")


@pytest.mark.parametrize("prompt", ["hello", ["hello"]])
def test_a_text_is_completed(holder: KeyHolder, prompt: Any) -> None:
    answer = holder.ask("completions", prompt=prompt).json()
    assert answer["object"] == "text_completion"
    assert answer["choices"][0]["text"].endswith("Characters received: 5.")
    assert answer["choices"][0]["finish_reason"] == "stop"


def test_a_response_is_answered_in_its_own_shape(holder: KeyHolder) -> None:
    answer = holder.ask("responses").json()
    assert (answer["object"], answer["status"], answer["model"]) == ("response", "completed", MODEL)
    [message] = answer["output"]
    assert (message["type"], message["role"], message["status"]) == ("message", "assistant", "completed")
    [part] = message["content"]
    assert part["type"] == "output_text"
    assert part["text"].endswith("Messages received: 1 user.")
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_a_response_takes_messages_and_instructions(holder: KeyHolder) -> None:
    messages = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]},
        {"role": "assistant", "content": "hi"},
        *HELLO,
    ]
    answer = holder.ask("responses", input=messages, instructions="be brief").json()
    assert answer["instructions"] == "be brief"
    assert answer["output"][0]["content"][0]["text"].endswith("Messages received: 1 system, 2 user, 1 assistant.")


def test_a_response_can_be_cut_short(holder: KeyHolder) -> None:
    answer = holder.ask("responses", max_output_tokens=2).json()
    assert (answer["status"], answer["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert answer["output"][0]["content"][0]["text"] == "This is "


@pytest.mark.parametrize("changes", [{"stream": True}, {"tools": [{}]}, {"previous_response_id": "resp_1"}])
def test_a_response_is_buffered_text_and_nothing_else(holder: KeyHolder, changes: dict[str, Any]) -> None:
    assert error_of(holder.ask("responses", **changes)) == (400, "unsupported_parameter")
    call = [{"type": "function_call_output", "call_id": "1", "output": "x"}]
    assert error_of(holder.ask("responses", input=call)) == (400, "unsupported_parameter")


@pytest.mark.parametrize(
    ("route", "changes"),
    [
        ("chat", {"model": None}),
        ("chat", {"model": 7}),
        ("chat", {"messages": []}),
        ("chat", {"messages": "hello"}),
        ("chat", {"messages": [{"role": "king", "content": "x"}]}),
        ("chat", {"max_tokens": 0}),
        ("chat", {"max_completion_tokens": "many"}),
        ("chat", {"stream": "yes"}),
        ("chat", {"stream_options": {"include_usage": True}}),
        ("chat", {"stream": True, "stream_options": {"include_usage": 1}}),
        ("chat", {"stream": True, "stream_options": []}),
        ("think", {"messages": [7]}),
        ("completions", {"prompt": None}),
        ("completions", {"prompt": ["one", "two"]}),
        ("completions", {"prompt": [1, 2]}),
        ("responses", {"input": []}),
        ("responses", {"input": None}),
        ("responses", {"instructions": 7}),
        ("responses", {"max_output_tokens": -1}),
    ],
)
def test_a_body_that_makes_no_sense_is_refused_and_costs_nothing(
    refused_holder: KeyHolder, route: str, changes: dict[str, Any]
) -> None:
    assert error_of(refused_holder.ask(route, **changes)) == (400, "invalid_request")
    assert refused_holder.spent == 0


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(refused_holder: KeyHolder, body: bytes) -> None:
    assert error_of(refused_holder.http.post("/chat/completions", content=body)) == (400, "invalid_request")


def test_ordinary_sampling_fields_are_let_through(holder: KeyHolder) -> None:
    assert holder.ask(temperature=0.2, top_p=1, seed=7, stop=["x"], max_tokens=96, user="me").status_code == 200


@pytest.mark.parametrize("route", ROUTES)
def test_a_model_that_is_not_offered_is_not_found(refused_holder: KeyHolder, route: str) -> None:
    assert error_of(refused_holder.ask(route, model="nobody/nothing")) == (404, "model_not_found")


@pytest.mark.parametrize("route", ROUTES)
def test_another_method_is_refused(refused_holder: KeyHolder, route: str) -> None:
    refused = refused_holder.http.get(PATHS[route])
    assert error_of(refused) == (405, "method_not_allowed")
    assert refused.headers["Allow"] == "POST"
    assert refused_holder.http.post("/models").headers["Allow"] == "GET"


@pytest.mark.parametrize("route", [*ROUTES, "models"])
def test_no_route_answers_without_its_key(holder: KeyHolder, route: str) -> None:
    def ask() -> Any:
        return holder.models() if route == "models" else holder.ask(route)

    key = holder.sandbox.virtual_key
    holder.http.headers.encoding = "latin-1"
    for wrong in ("Bearer nonsense", "Bearer", f"Basic {key}", key, f"Bearer {key}x", "Bearer clé"):
        holder.http.headers["authorization"] = wrong
        assert error_of(ask()) == (401, "invalid_api_key"), wrong
    holder.http.headers["authorization"] = "Payment eyJ9"
    assert error_of(ask()) == (401, "wrong_route")
    del holder.http.headers["authorization"]
    refused = ask()
    assert error_of(refused) == (401, "missing_api_key")
    assert refused.json()["error"]["type"] == "authentication_error"
    assert "www-authenticate" not in refused.headers
    assert holder.spent == 0


def test_the_scheme_is_read_in_any_case(holder: KeyHolder) -> None:
    assert holder.models(authorization=f"bEARER  {holder.sandbox.virtual_key}").status_code == 200


def test_the_key_does_not_pay_on_the_paid_route(holder: KeyHolder, payer: Payer) -> None:
    refused = payer.post(authorization=f"Bearer {holder.sandbox.virtual_key}")
    assert error_of(refused) == (401, "wrong_route")


def test_a_request_is_metered(holder: KeyHolder) -> None:
    usage = holder.ask().json()["usage"]
    cost = usage["total_tokens"] * 10
    assert holder.spent == cost
    holder.ask()
    holder.models()
    assert holder.spent == 2 * cost
    list(holder.stream())
    assert holder.spent == 3 * cost, "a stream costs the same"


def test_a_budget_that_is_exhausted_is_no_challenge(holder: KeyHolder) -> None:
    cost = holder.ask().json()["usage"]["total_tokens"] * 10
    holder.change_settings(key_budget=2 * cost)
    assert holder.ask().status_code == 200
    refused = holder.ask()
    assert error_of(refused) == (402, "budget_exhausted")
    assert "www-authenticate" not in refused.headers
    assert error_of(holder.ask(stream=True)) == (402, "budget_exhausted")
    assert holder.spent == 2 * cost
    assert holder.models().status_code == 200, "looking costs nothing"
    holder.change_settings(key_budget=None)
    assert holder.ask().status_code == 200


def test_the_key_and_what_it_spent_are_remembered(tmp_path: Path) -> None:
    config = SandboxConfig(path=tmp_path / "sandbox.sqlite")
    with Sandbox(config) as one, Sandbox(config) as other:
        assert one.virtual_key == other.virtual_key
        KeyHolder(one).ask()
        assert KeyHolder(other).spent == KeyHolder(one).spent > 0
        key = one.virtual_key
    with Sandbox(config) as again:
        assert again.virtual_key == key
        assert KeyHolder(again).spent > 0
    with Sandbox(SandboxConfig(path=config.path, virtual_key="vk-of-mine")) as chosen:
        assert chosen.virtual_key == "vk-of-mine"
        assert KeyHolder(chosen).models().status_code == 200
        assert KeyHolder(chosen).spent == 0, "each key has its own account"
    with Sandbox(SandboxConfig(path=tmp_path / "other.sqlite")) as stranger:
        assert stranger.virtual_key != key


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "clé"])
def test_a_key_that_fits_no_header_is_an_error(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="Virtual Key"):
        SandboxConfig(path=tmp_path / "x", virtual_key=key)


def test_the_key_is_not_in_the_repr(tmp_path: Path) -> None:
    assert "vk-of-mine" not in repr(SandboxConfig(path=tmp_path / "x", virtual_key="vk-of-mine"))


def test_the_log_tells_what_was_sent_by_hash(holder: KeyHolder) -> None:
    answer = holder.ask("think", headers={"idempotency-key": "one"})
    entry = holder.sandbox.gateway.log[-1]
    assert (entry.method, entry.path, entry.action, entry.status) == ("POST", "/v1/think", "think", 200)
    assert entry.body_sha256 == hashlib.sha256(answer.request.content).hexdigest()
    assert entry.authorization_sha256 == hashlib.sha256(b"Bearer " + holder.sandbox.virtual_key.encode()).hexdigest()
    assert entry.idempotency_key_sha256 == hashlib.sha256(b"one").hexdigest()
    assert entry.request_id == answer.headers["x-request-id"]
    assert holder.sandbox.virtual_key not in repr(holder.sandbox.gateway.log)


@pytest.mark.parametrize(
    ("sent", "schemes"),
    [
        (["Bearer x"], ("Bearer",)),
        (["payment x", "BEARER y"], ("Payment", "Bearer")),
        (["sk-123"], ("other",)),
        ([], ()),
    ],
)
def test_the_log_tells_the_schemes_of_the_credentials(
    holder: KeyHolder, sent: list[str], schemes: tuple[str, ...]
) -> None:
    del holder.http.headers["authorization"]
    headers = [("authorization", value) for value in sent]
    for path in ("/models", "/mpp/chat/completions", "/free"):
        holder.http.get(path, headers=headers)
        assert holder.sandbox.gateway.log[-1].schemes == schemes


def test_every_answer_has_a_request_id_of_its_own(holder: KeyHolder, payer: Payer) -> None:
    answers = [
        holder.models(), holder.ask(), holder.ask(stream=True), holder.ask(model=7), holder.http.get("/nothing"),
        holder.http.get("/free"), payer.post(), payer.pay(payer.open_payload()),
    ]  # fmt: skip
    ids = [answer.headers.get_list("x-request-id") for answer in answers]
    assert all(len(each) == 1 and each[0].startswith("req_") for each in ids)
    assert len({each[0] for each in ids}) == len(ids)


def test_the_model_can_be_told_what_to_say(holder: KeyHolder, payer: Payer) -> None:
    holder.change_settings(answer="**Größe** \U0001f642", models=["only/one"])
    assert [model["id"] for model in holder.models().json()["data"]] == ["only/one"]
    assert holder.ask(model="only/one").json()["choices"][0]["message"]["content"] == "**Größe** \U0001f642"
    words = [chunk["choices"][0]["delta"].get("content") for chunk in holder.chunks(model="only/one")]
    assert words == ["", "**Größe**", " \U0001f642", None]
    paid = payer.pay(payer.open_payload()).json()["choices"][0]
    assert (paid["message"]["content"], paid["finish_reason"]) == ("**Größe** \U0001f642", "stop")


@pytest.mark.parametrize("changes", [{"key_budget": -1}, {"key_budget": "1"}, {"models": [7]}, {"answer": 7}])
def test_settings_that_make_no_sense_are_refused(holder: KeyHolder, changes: dict[str, Any]) -> None:
    origin = holder.sandbox.base_url.removesuffix("/v1")
    assert holder.http.post(f"{origin}/sandbox/settings", json=changes).status_code == 400
