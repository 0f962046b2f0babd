"""The lock files: all that is installed is named in them, with hashes, and nothing says where to fetch it from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUN_TIME = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["build"]]
TEST = PROJECT["project"]["optional-dependencies"]["test"]
LOCKS = {"requirements.lock": RUN_TIME, "requirements-dev.lock": [*RUN_TIME, *TEST]}
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def entries(name: str) -> list[tuple[Requirement, int]]:
    """What the lock ``name`` pins, each with the number of its hashes."""
    text = (ROOT / name).read_text(encoding="utf-8")
    logical = re.sub(r"^ *#.*$", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [(Requirement(HASH.sub("", line)), len(HASH.findall(line))) for line in logical.splitlines() if line.strip()]


@pytest.mark.parametrize("lock", LOCKS)
def test_each_declared_dependency_is_locked_within_its_range(lock: str) -> None:
    pinned: dict[str, list[Requirement]] = {}
    for entry, _ in entries(lock):
        pinned.setdefault(canonicalize_name(entry.name), []).append(entry)
    for wanted in map(Requirement, LOCKS[lock]):
        found = pinned.get(canonicalize_name(wanted.name), [])
        assert found, f"{wanted} is not in {lock}: run `make update`"
        for entry in found:
            (pin,) = entry.specifier
            assert pin.version in wanted.specifier, f"{lock} has {entry}, pyproject.toml wants {wanted}"


@pytest.mark.parametrize("lock", LOCKS)
def test_each_entry_is_one_version_with_hashes(lock: str) -> None:
    for entry, hashes in entries(lock):
        assert [each.operator for each in entry.specifier] == ["=="], entry
        assert hashes, f"{entry} has no hash"


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_names_a_place_to_fetch_from(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert not re.search(r"://|--(extra-)?index|--find-links|(^| )@ ", text, flags=re.MULTILINE)


def test_both_locks_agree() -> None:
    development = {str(entry) for entry, _ in entries("requirements-dev.lock")}
    assert {str(entry) for entry, _ in entries("requirements.lock")} <= development


def test_the_build_backend_is_locked() -> None:
    assert set(PROJECT["build-system"]["requires"]) <= set(PROJECT["dependency-groups"]["build"])
