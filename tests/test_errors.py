"""Errors: immutable, of one tree of classes, each code of the catalogue raised and documented."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ando_cli import errors
from ando_cli.errors import (
    RETRYABLE,
    AndoError,
    Code,
    DeclinedError,
    ExitCode,
    LostAnswerError,
    NetworkError,
    OutcomeUnknownError,
    PaymentDeclinedError,
    PaymentError,
    RpcRefusedError,
    ServerError,
    UsageError,
    codes,
)
from ando_cli.mpp import problem
from ando_cli.mpp.problem import ProblemCode
from ando_cli.tempo.history import IncompleteSearchError
from tools import docs

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parent.parent
FIELDS = ("message", "hint", "code", "retryable", "retry_after", "request_id", "body")


@pytest.mark.parametrize("name", FIELDS)
def test_what_an_error_says_cannot_be_changed(name: str) -> None:
    error = UsageError("it is wrong", hint="mend it")
    with pytest.raises(AttributeError):
        setattr(error, name, getattr(error, name))


def test_a_changed_error_is_another_one_of_the_same_class() -> None:
    first = ServerError("no", hint="a", code="odd", retryable=True, retry_after=3)
    hinted = first.with_hint("b")
    renamed = first.with_message("yes")
    answered = first.with_answer(b"{}", "req-1")
    assert {type(each) for each in (hinted, renamed, answered)} == {ServerError}
    assert (first.message, first.hint, first.body, first.request_id, str(first)) == ("no", "a", None, None, "no")
    assert (hinted.message, hinted.hint, hinted.code, hinted.retryable, hinted.retry_after) == (
        "no", "b", "odd", True, 3,
    )  # fmt: skip
    assert (renamed.message, str(renamed), renamed.hint) == ("yes", "yes", "a")
    assert (answered.body, answered.request_id, answered.hint) == (b"{}", "req-1", "a")


def test_an_error_with_fields_of_its_own_keeps_them() -> None:
    refused = RpcRefusedError("no", rpc_code=-32000, rpc_message="nonce too low").with_hint("x")
    assert (refused.hint, refused.rpc_code, refused.rpc_message) == ("x", -32000, "nonce too low")
    search = IncompleteSearchError("rpc.invalid", [], 40).with_hint("x")
    assert (search.hint, search.found, search.searched_from) == ("x", (), 40)


@pytest.mark.parametrize("code", Code)
def test_the_code_says_whether_to_try_again_unless_the_error_does(code: Code) -> None:
    assert AndoError("x", code=code).retryable is (code in RETRYABLE)
    assert AndoError("x", code=code, retryable=False).retryable is False
    assert AndoError("x", code=code, retryable=True).retryable is True


def test_a_code_of_a_server_that_is_spelt_like_ours_decides_nothing() -> None:
    assert ServerError("x", code="store_busy").retryable is False


def test_an_error_that_is_not_to_be_tried_again_names_no_time_for_it() -> None:
    error = AndoError("x", retryable=True, retry_after=5)
    assert (error.with_retryable(False).retryable, error.with_retryable(False).retry_after) == (False, None)
    assert (error.with_retryable(True).retryable, error.with_retryable(True).retry_after) == (True, 5)


@pytest.mark.parametrize("cls", [OutcomeUnknownError, LostAnswerError])
def test_an_unknown_outcome_is_not_to_be_tried_again(cls: type[AndoError]) -> None:
    assert cls("x").code == Code.OUTCOME_UNKNOWN
    assert not cls("x").retryable


def test_a_lost_answer_is_caught_as_either_and_exits_like_a_network_error() -> None:
    lost = LostAnswerError("x")
    assert isinstance(lost, NetworkError)
    assert isinstance(lost, OutcomeUnknownError)
    assert isinstance(lost, PaymentError)
    assert lost.exit_code is ExitCode.NETWORK
    assert OutcomeUnknownError("x").exit_code is ExitCode.PAYMENT


def test_a_declined_payment_exits_like_a_payment_error_and_another_no_does_not() -> None:
    assert PaymentDeclinedError("x").exit_code is ExitCode.PAYMENT
    assert DeclinedError("x").exit_code is ExitCode.GENERAL
    assert isinstance(PaymentDeclinedError("x"), DeclinedError)
    assert PaymentDeclinedError("x").code == DeclinedError("x").code == "declined"


def test_every_class_is_part_of_the_public_face_and_has_a_code_of_the_catalogue() -> None:
    for cls in docs.error_classes():
        assert cls.__name__ in errors.__all__
        assert isinstance(cls("x").code, Code)


def test_every_code_is_raised_somewhere() -> None:
    raised = docs.raised()
    assert [code for code in Code if code not in raised] == []


def test_a_code_that_nobody_raises_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text('raise UsageError("x", code=Code.NO_EDITOR)', encoding="utf-8")
    monkeypatch.setattr(docs, "PACKAGE", tmp_path)
    raised = docs.raised()
    assert raised[Code.NO_EDITOR].classes == {"UsageError"}
    assert Code.NO_CHANNEL not in raised


@pytest.mark.parametrize(("module", "enum"), [(codes, "Code"), (problem, "ProblemCode")])
def test_every_code_has_a_meaning_and_something_to_do(module: ModuleType, enum: str) -> None:
    meanings = docs.meanings(module, enum)
    members = Code if enum == "Code" else ProblemCode
    assert set(meanings) == {member.name for member in members}
    for name, text in meanings.items():
        meaning, rest = text.split(". ", 1)
        assert meaning.strip(), name
        assert rest.endswith("."), name


def test_the_page_lists_every_code_and_is_current() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert page == docs.errors_page()
    listed = set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE))
    assert listed >= {str(code) for code in (*Code, *ProblemCode)}


def test_the_tool_says_which_page_is_not_current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    assert docs.main(["--check"]) == 1
    assert not (tmp_path / "docs").exists()
    assert docs.main([]) == 0
    assert docs.main(["--check"]) == 0
    (tmp_path / "docs" / "errors.md").write_text("old", encoding="utf-8")
    assert docs.main(["errors", "--check"]) == 1


def test_the_tool_runs_from_the_command_line() -> None:
    subprocess.run([sys.executable, "tools/docs.py", "--check"], cwd=ROOT, check=True)


def test_nothing_looks_at_the_code_or_the_texts_of_an_error_to_tell_what_it_is() -> None:
    """Code reacts to classes. What catches an error may show its texts, and not compare or search them."""
    found = []
    for path in sorted((ROOT / "ando_cli").rglob("*.py")):
        if "sandbox" in path.parts:
            continue  # its errors are those of a chain and a gateway, whose codes are their kinds
        for handler in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(handler, ast.ExceptHandler) and handler.name:
                found += [f"{path.name}:{line}" for line in looked_into(handler, handler.name)]
    assert found == []


def looked_into(handler: ast.AST, name: str) -> list[int]:
    lines = []
    for node in ast.walk(handler):
        if isinstance(node, ast.Compare):
            inside: list[ast.AST] = [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in (
            "search", "match", "fullmatch", "startswith", "endswith",
        ):  # fmt: skip
            inside = [node.func.value, *node.args]
        else:
            continue
        for each in inside:
            for part in ast.walk(each):
                if (
                    isinstance(part, ast.Attribute)
                    and part.attr in ("code", "message", "hint")
                    and isinstance(part.value, ast.Name)
                    and part.value.id == name
                ):
                    lines.append(node.lineno)
    return lines


@pytest.mark.parametrize(
    "line", ["error.code == 'x'", "error.code in KNOWN", "'x' not in (error.hint or '')", "KNOWN.search(error.message)"]
)
def test_a_place_that_compares_a_text_is_found(line: str) -> None:
    assert looked_into(ast.parse(f"if {line}: pass"), "error") == [1]
