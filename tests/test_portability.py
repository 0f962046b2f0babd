"""Other systems than this one: what only POSIX has is not needed to start."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from platformdirs.macos import MacOS

import ando_cli
from ando_cli.config.settings import find_folders

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(ando_cli.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
POSIX_MODULES = {
    "curses", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty", "_curses"
}  # fmt: skip
POSIX_NAMES = {
    "os": {
        "chown", "fchmod", "fchown", "fork", "forkpty", "getegid", "geteuid", "getgid", "getgroups", "getlogin",
        "getpgid", "getpgrp", "getsid", "getuid", "killpg", "lchown", "mkfifo", "nice", "openpty", "setsid", "uname",
        "wait", "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "WNOHANG",
    },
    "signal": {"SIGALRM", "SIGHUP", "SIGKILL", "SIGQUIT", "SIGTSTP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "alarm"},
    "socket": {"AF_UNIX"},
}  # fmt: skip


def at_start(tree: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is loaded: not the bodies of functions, and not what only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from at_start(node)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_no_module_needs_posix(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    for node in at_start(tree):
        if isinstance(node, ast.Import):
            assert not {alias.name.partition(".")[0] for alias in node.names} & POSIX_MODULES
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").partition(".")[0] not in POSIX_MODULES
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert node.attr not in POSIX_NAMES.get(node.value.id, ()), (
                f"{node.value.id}.{node.attr}, line {node.lineno}"
            )


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_text_files_are_utf_8_on_every_system(module: Path) -> None:
    """Windows would read and write its own code page."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, owner = node.func.attr, ast.unparse(node.func.value)
        words = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        told = "encoding" in {keyword.arg for keyword in node.keywords}
        text = (
            (name == "fdopen" and not any("b" in word for word in words))
            or (name == "open" and owner != "os" and (not node.args or words[:1] in (["r"], ["w"], ["a"], ["x"])))
            or (name == "read_text" and not node.args)
        )
        assert told or not text, f"line {node.lineno}"


def test_the_folders_are_where_a_platform_wants_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    found = find_folders({})
    assert (found.config, found.state) == (tmp_path / ".config" / "ando", tmp_path / ".local" / "state" / "ando")
    monkeypatch.setattr("platformdirs.PlatformDirs", MacOS)
    found = find_folders({})
    assert found.config == found.state == tmp_path / "Library" / "Application Support" / "ando"
