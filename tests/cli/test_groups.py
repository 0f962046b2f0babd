"""Groups of options: what a command declares as one record is many options on its command line."""

from __future__ import annotations

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from ando_cli.cli.groups import Without, grouped
from ando_cli.cli.options import ConnectionOptions, SamplingOptions
from ando_cli.inference.prompt import Prompt


def app_of(command: object) -> typer.Typer:
    app = typer.Typer()
    app.command()(command)  # type: ignore[type-var]
    return app


def test_the_options_of_a_group_arrive_in_its_record_and_stand_where_it_stands() -> None:
    taken: list[object] = []

    @grouped
    def ask(
        ctx: typer.Context,
        *,
        first: bool = False,
        sampling: Annotated[SamplingOptions, Without("plan", "system")],
        connection: ConnectionOptions,
    ) -> None:
        taken.append((first, sampling.prompt(["why", "not"]), connection))

    runner = CliRunner()
    given = ("--first", "-m", "x", "--stop", "a", "--stop", "b", "--set", "n=1", "--timeout", "3")
    done = runner.invoke(app_of(ask), given)
    assert done.exit_code == 0, done.output
    prompt = Prompt(text="why not", model="x", stop=("a", "b"), extra={"n": 1})
    assert taken == [(True, prompt, ConnectionOptions(3.0))]
    page = runner.invoke(app_of(ask), ["--help"]).output
    assert page.index("--first") < page.index("--model") < page.index("--timeout")
    assert "--plan" not in page
    assert runner.invoke(app_of(ask), ["--plan", "Plus"]).exit_code == 2


def test_only_an_option_that_the_group_has_can_be_left_out() -> None:
    def ask(*, connection: Annotated[ConnectionOptions, Without("nothing")]) -> None:
        raise NotImplementedError

    with pytest.raises(TypeError, match="ConnectionOptions has no option nothing"):
        grouped(ask)
