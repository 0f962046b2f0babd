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


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    """The syntax trees of the package."""
    return {
        str(path.relative_to(PACKAGE)): ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")
    }


def test_no_module_needs_posix(modules: dict[str, ast.Module]) -> None:
    found = []
    for name, tree in modules.items():
        for node in at_start(tree):
            if isinstance(node, ast.Import):
                imported = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported = {(node.module or "").partition(".")[0]}
            else:
                continue
            found += [f"{name}:{node.lineno} {module}" for module in imported & POSIX_MODULES]
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
                continue
            if node.attr in POSIX_NAMES.get(node.value.id, ()):
                found.append(f"{name}:{node.lineno} {node.value.id}.{node.attr}")
    assert found == []


def test_text_files_are_utf_8_on_every_system(modules: dict[str, ast.Module]) -> None:
    """Windows would read and write its own code page."""
    found = []
    for name, tree in modules.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if opens_as_text(node, node.func) and "encoding" not in {keyword.arg for keyword in node.keywords}:
                found.append(f"{name}:{node.lineno}")
    assert found == []


def opens_as_text(call: ast.Call, method: ast.Attribute) -> bool:
    name, owner = method.attr, ast.unparse(method.value)
    words = [each.value for each in call.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return (
        (name == "fdopen" and not any("b" in word for word in words))
        or (name == "open" and owner != "os" and (not call.args or words[:1] in (["r"], ["w"], ["a"], ["x"])))
        or (name == "read_text" and not call.args)
    )


def test_the_folders_are_where_a_platform_wants_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    found = find_folders({})
    assert (found.config, found.state) == (tmp_path / ".config" / "ando", tmp_path / ".local" / "state" / "ando")
    monkeypatch.setattr("platformdirs.PlatformDirs", MacOS)
    found = find_folders({})
    assert found.config == found.state == tmp_path / "Library" / "Application Support" / "ando"
