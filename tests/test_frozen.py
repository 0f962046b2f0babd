"""Records behave as frozen dataclasses do."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import field

import pytest

from ando_cli.frozen import frozen


@frozen
class Point:
    x: int
    y: int = 2
    secret: str = field(default="hush", repr=False)
    marks: list[int] = field(default_factory=list)

    @property
    def sum(self) -> int:
        return self.x + self.y


@dataclasses.dataclass(frozen=True)
class Model:
    x: int
    y: int = 2
    secret: str = field(default="hush", repr=False)
    marks: list[int] = field(default_factory=list)


@frozen
class Nothing:
    pass


@frozen
class Even:
    number: int

    def __post_init__(self) -> None:
        if self.number % 2:
            raise ValueError(self.number)


def test_it_is_made_compared_and_shown_as_a_dataclass_is() -> None:
    for arguments, named in (((1,), {}), ((1, 5), {}), ((), {"x": 3, "marks": [7]}), ((1, 2, "s", [4]), {})):
        ours, theirs = Point(*arguments, **named), Model(*arguments, **named)
        assert repr(ours) == repr(theirs).replace("Model", "Point")
        assert dataclasses.asdict(ours) == dataclasses.asdict(theirs)
        assert ours == Point(*arguments, **named)
    assert "hush" not in repr(Point(1))
    assert Point(1) != Point(2)
    assert Point(1) != Model(1)
    assert Nothing() == Nothing()


@pytest.mark.parametrize(
    ("arguments", "named"), [((), {}), ((1, 2, "s", [], 5), {}), ((1,), {"z": 3}), ((1,), {"x": 1})]
)
def test_wrong_arguments_are_refused(arguments: tuple[object, ...], named: dict[str, object]) -> None:
    for kind in (Point, Model):
        with pytest.raises(TypeError):
            kind(*arguments, **named)  # type: ignore[arg-type]


def test_defaults_are_made_anew_for_each() -> None:
    first, second = Point(1), Point(1)
    assert first.marks is not second.marks


def test_it_cannot_be_changed_but_replaced() -> None:
    point = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 5  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del point.x
    assert dataclasses.replace(point, x=5) == Point(5)
    assert point.sum == 3


def test_it_is_hashed_by_its_fields_and_copied() -> None:
    assert len({Even(2), Even(2), Even(4)}) == 2
    assert copy.deepcopy(Point(1)) == pickle.loads(pickle.dumps(Point(1))) == Point(1)  # noqa: S301
    with pytest.raises(ValueError, match="3"):
        Even(3)


def test_it_is_matched_by_position() -> None:
    match Point(1, 9):
        case Point(1, y):
            assert y == 9
        case _:
            pytest.fail("it did not match")
