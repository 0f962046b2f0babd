"""Change the code in one place at a time, and see whether a test notices: ``make mutants``.

A change that no test notices is a survivor, printed as ``file:line old -> new``. It is either a behaviour without a
test, or a change that means the same; the latter are listed in ``mutants-equivalent.txt`` with the reason.

The tree is copied first, and only copies are changed. The heavy libraries are imported once; each mutant is then tested
in a fork that has them already, so it costs little more than the tests themselves. This needs ``os.fork``.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import importlib
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "ando_cli"
MODULES = ("session/decide", "session/record", "session/act", "session/channel.py", "rails", "mpp")
"""What is mutated where ``--module`` names nothing: modules or folders, from the package on."""

EQUIVALENT = Path(__file__).with_name("mutants-equivalent.txt")
COPIED = (
    PACKAGE, "tests", "tools", "docs", "completions", "benchmarks", "pyproject.toml", "README.md", "ARCHITECTURE.md",
    "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "Makefile", "requirements.lock", "requirements-dev.lock",
)  # fmt: skip

PRELOADED = (
    "pytest", "pytest_timeout", "hypothesis", "httpx", "web3", "eth_account", "pytempo", "coincurve", "sha3",
    "filelock",
)  # fmt: skip
TEST_SECONDS = 40
"""After that long a test counts as failed: a mutant can loop for ever."""

FAILED, INTERRUPTED = 1, 2
"""How pytest exits when a test fails, and when a test module cannot be imported."""


def tests_of(module: Path, tree: Path) -> list[Path]:
    """The test files of a module in a copy of the tree: those of the folder that mirrors its own, and above that one.

    The tests that are named after the module come first, then the near ones.
    """
    found: list[Path] = []
    for above in (Path("tests", folder) for folder in module.parents if folder != Path()):
        found += sorted((tree / above).glob("test_*.py") if found else (tree / above).rglob("test_*.py"))
    return sorted(found, key=lambda path: path.stem != f"test_{module.stem}")


# Which changes are made

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
}  # fmt: skip
_NAMES = {"max": "min", "min": "max", "any": "all", "all": "any"}
_SQL = re.compile(r"\b(SELECT|UPDATE|INSERT INTO|DELETE FROM|WHERE|AND)\b.*[=?<>*(]|\bIS NULL\b|= '[a-z]+'", re.S)
_SQL_CONDITION = r"(?:(?! AND | ORDER | GROUP |\?).)+"
_SQL_CHANGES = (
    (rf" AND {_SQL_CONDITION}(?= AND | ORDER | GROUP |$)", ""),
    (rf"(?<=WHERE ){_SQL_CONDITION} AND ", ""),
    (rf"^{_SQL_CONDITION} AND ", ""),
    (r" >= ", " > "), (r" > ", " >= "), (r" <= ", " < "), (r" < ", " <= "), (r" <> ", " = "), (r" NOT IN ", " IN "),
    (r" DESC", ""), (r"'[a-z]+', (?='[a-z]+')", ""), (r", '[a-z]+'(?=\))", ""), (r"\bmax\(", "min("),
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: ``node`` of the module at ``path`` becomes ``new``, which is source text."""

    path: Path
    where: str
    """The function or class that it is in."""
    line: int
    span: tuple[int, int]
    """Which bytes of the file it replaces."""
    old: str
    new: str

    def __str__(self) -> str:
        return f"{Path(PACKAGE, self.path)}:{self.line} {self.old} -> {self.new}"

    @property
    def key(self) -> str:
        """How ``mutants-equivalent.txt`` names it: without its file and line, which change when code moves."""
        return f"{self.where} | {self.old} -> {self.new}"

    def applied(self, source: bytes) -> bytes:
        """The module's text with the change."""
        start, end = self.span
        return source[:start] + self.new.encode() + source[end:]


class Finder(ast.NodeVisitor):
    """Collects the mutants of one module."""

    def __init__(self, path: Path, source: bytes) -> None:
        self.path = path
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.inside: list[str] = []
        self.found: list[Mutant] = []
        self.visit(ast.parse(source))

    def add(self, node: ast.expr | ast.stmt | ast.pattern, new: ast.AST | str) -> None:
        """Note that ``node`` can become ``new``."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        span = self.starts[node.lineno - 1] + node.col_offset, self.starts[node.end_lineno - 1] + node.end_col_offset
        text = new if isinstance(new, str) else ast.unparse(new)
        if isinstance(node, ast.expr) and not isinstance(node, ast.Constant | ast.Name):
            text = f"({text})"
        self.found.append(Mutant(self.path, ".".join(self.inside), node.lineno, span, ast.unparse(node), text))

    def change(self, node: ast.expr | ast.stmt | ast.pattern, **fields: object) -> None:
        """Note that ``node`` can have other values in ``fields``."""
        changed = copy.copy(node)
        for name, value in fields.items():
            setattr(changed, name, value)
        self.add(node, changed)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.inside.append(node.name)
        for part in (*node.args.defaults, *(d for d in node.args.kw_defaults if d), *node.body):
            self.visit(part)
        self.inside.pop()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.inside.append(node.name)
        for part in node.body:
            self.visit(part)
        self.inside.pop()

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return
        self._negated(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._negated(node.test)
        self.generic_visit(node)

    def _negated(self, test: ast.expr) -> None:
        if isinstance(test, ast.Name | ast.Attribute | ast.Call):
            self.add(test, ast.UnaryOp(ast.Not(), test))

    def visit_Compare(self, node: ast.Compare) -> None:
        for number, operator in enumerate(node.ops):
            for other in _COMPARISONS[type(operator)]:
                self.change(node, ops=[*node.ops[:number], other(), *node.ops[number + 1 :]])
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.change(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        for number in range(len(node.values)):
            rest = [*node.values[:number], *node.values[number + 1 :]]
            self.add(node, rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not | ast.USub):
            self.add(node, node.operand)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.BitOr):
            if self.inside:  # elsewhere it names a type
                self.add(node, node.left)
                self.add(node, node.right)
        elif type(node.op) in _OPERATORS and not isinstance(node.left, ast.Constant | ast.JoinedStr):
            self.change(node, op=_OPERATORS[type(node.op)]())
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if type(node.op) in _OPERATORS:
            self.change(node, op=_OPERATORS[type(node.op)]())
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in _NAMES:
            self.change(node, func=ast.Name(_NAMES[node.func.id]))
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call | ast.YieldFrom):
            self.add(node, "pass")
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.generic_visit(node)

    def visit_Tuple(self, node: ast.Tuple) -> None:
        if (
            len(node.elts) > 1
            and isinstance(node.ctx, ast.Load)
            and all(isinstance(e, ast.Attribute) for e in node.elts)
        ):
            for number in range(len(node.elts)):
                self.change(node, elts=[*node.elts[:number], *node.elts[number + 1 :]])
        self.generic_visit(node)

    def visit_MatchOr(self, node: ast.MatchOr) -> None:
        for number in range(len(node.patterns)):
            rest = [*node.patterns[:number], *node.patterns[number + 1 :]]
            self.add(node, rest[0] if len(rest) == 1 else ast.MatchOr(rest))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self.add(node, repr(not node.value))
        elif isinstance(node.value, int):
            self.add(node, repr(1 - node.value if node.value in (0, 1) else node.value + 1))
        elif isinstance(node.value, str):
            for changed in _sql_changes(node.value):
                self.add(node, repr(changed))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        for number, part in enumerate(node.values):
            if isinstance(part, ast.Constant):
                for changed in _sql_changes(part.value):
                    self.change(node, values=[*node.values[:number], ast.Constant(changed), *node.values[number + 1 :]])


def _sql_changes(text: str) -> Iterator[str]:
    if _SQL.search(text) and "CREATE" not in text:
        for pattern, new in _SQL_CHANGES:
            for match in re.finditer(pattern, text):
                yield text[: match.start()] + new + text[match.end() :]


# Trying them out


@dataclass
class Slot:
    """A copy of the tree, and the mutant that is being tried in it."""

    tree: Path
    mutant: Mutant | None = None
    pid: int = 0
    started: float = 0.0
    source: bytes = field(default=b"", repr=False)


def copy_tree(target: Path) -> Path:
    """Copy what the tests need into a new folder ``target``; returns it."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    if (shared := ROOT.parent / "shared").exists() and not (target.parent / "shared").exists():
        (target.parent / "shared").symlink_to(shared)
    return target


class Hasty:
    """A pytest plugin: properties come last, and a failure of one is not made smaller first."""

    def pytest_configure(self) -> None:
        from hypothesis import Phase, settings

        settings.register_profile("mutants", settings.default, phases=(Phase.explicit, Phase.generate))
        settings.load_profile("mutants")

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items.sort(key=lambda item: item.get_closest_marker("hypothesis") is not None)


def run_tests(tree: Path, module: Path, *, keep_compiled: bool) -> int:
    """Fork, and run the tests of ``module`` in ``tree``; returns the pid."""
    files = tests_of(module, tree)
    pid = os.fork()
    if pid:
        return pid
    status = 4
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setsid()
        os.chdir(tree)
        os.environ["PYTHONPATH"] = str(tree)  # for the processes that tests start
        sys.path[:] = [str(tree), *(path for path in sys.path if path not in (str(ROOT), str(ROOT / "tools"), ""))]
        sys.dont_write_bytecode = not keep_compiled
        if not keep_compiled:
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        sink = os.open(tree / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for descriptor in (1, 2):
            os.dup2(sink, descriptor)
        import pytest

        status = int(
            pytest.main(
                ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0",
                 f"--timeout={TEST_SECONDS}", *map(str, files)],
                plugins=[Hasty()],
            )
        )  # fmt: skip
    finally:
        sys.stdout.flush()
        os._exit(status)


def begin(slot: Slot, mutant: Mutant) -> None:
    """Change the module in the slot's tree, and start its tests."""
    path = slot.tree / PACKAGE / mutant.path
    slot.source = path.read_bytes()
    changed = mutant.applied(slot.source)
    ast.parse(changed)
    path.write_bytes(changed)
    slot.mutant, slot.started = mutant, time.monotonic()
    slot.pid = run_tests(slot.tree, mutant.path, keep_compiled=False)


def stop(slot: Slot) -> None:
    """End the slot's tests, with whatever they have left running."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(slot.pid, signal.SIGKILL)


def end(slot: Slot, limit: float) -> bool | None:
    """Whether the slot's mutant survived; ``None`` while it is not known. Puts the module back as it was."""
    assert slot.mutant is not None
    pid, status = os.waitpid(slot.pid, os.WNOHANG)
    late = time.monotonic() - slot.started > limit
    if not pid and not late:
        return None
    stop(slot)
    if not pid:
        os.waitpid(slot.pid, 0)
    (slot.tree / PACKAGE / slot.mutant.path).write_bytes(slot.source)
    code = FAILED if late else os.waitstatus_to_exitcode(status)
    if code not in (0, FAILED, INTERRUPTED) and code >= 0:
        raise SystemExit(f"pytest could not run (exit code {code}) for {slot.mutant}: {slot.tree / 'output.txt'}")
    slot.mutant = None
    return code == 0


def equivalent() -> set[str]:
    """The mutants that mean the same as the code, by ``Mutant.key``."""
    lines = EQUIVALENT.read_text(encoding="utf-8").splitlines()
    return {line.rpartition(" | ")[0] for line in lines if line and not line.startswith("#")}


def modules(named: list[str]) -> list[Path]:
    """The modules that are meant, from the package on."""
    paths: list[Path] = []
    for name in named or MODULES:
        path = ROOT / PACKAGE / Path(name.removeprefix(f"{PACKAGE}/"))
        found = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        if not found or not found[0].is_file():
            raise SystemExit(f"there is no module {name} in {PACKAGE}")
        paths += [each.relative_to(ROOT / PACKAGE) for each in found]
    return paths


def mutants_of(paths: list[Path], lines: str | None) -> list[Mutant]:
    """All mutants of the modules, or those that begin in ``lines``: ``N`` or ``N-M``."""
    found = [mutant for path in paths for mutant in Finder(path, (ROOT / PACKAGE / path).read_bytes()).found]
    found = [mutant for mutant in dict.fromkeys(found) if mutant.old != mutant.new]
    if lines is None:
        return found
    first, _, last = lines.partition("-")
    return [mutant for mutant in found if int(first) <= mutant.line <= int(last or first)]


def preload() -> None:
    """Import what most tests import, so that no fork has to."""
    recursion_limit = sys.getrecursionlimit()
    for name in PRELOADED:
        importlib.import_module(name)
    sys.setrecursionlimit(recursion_limit)  # a library of web3's raises it


def check_baseline(slots: list[Slot], paths: list[Path]) -> float:
    """Check that the tests succeed without a change, in each copy; returns how long the slowest of them took."""
    slowest = 0.0
    by_tests = {frozenset(tests_of(path, ROOT)): path for path in paths}
    for slot in slots:
        for path in by_tests.values():
            started = time.monotonic()
            pid = run_tests(slot.tree, path, keep_compiled=True)
            if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
                sys.stdout.write((slot.tree / "output.txt").read_text(errors="replace")[-4000:])
                raise SystemExit(f"the tests of {path} fail without any change: nothing can be learnt")
            slowest = max(slowest, time.monotonic() - started)
        for path in paths:  # what is compiled must never be taken for what is changed
            cached = slot.tree / PACKAGE / path.parent / "__pycache__"
            for compiled in cached.glob(f"{path.stem}.*.pyc"):
                compiled.unlink()
    return slowest


def try_out(mutants: list[Mutant], slots: list[Slot], limit: float) -> list[Mutant]:
    """Run the tests against each mutant; returns the survivors, which are printed as they are found."""
    waiting, survivors, done = mutants[::-1], [], 0
    while waiting or any(slot.mutant for slot in slots):
        for slot in slots:
            if slot.mutant is None and waiting:
                begin(slot, waiting.pop())
            mutant = slot.mutant
            if mutant is None or (survived := end(slot, limit)) is None:
                continue
            done += 1
            if survived:
                survivors.append(mutant)
                print(mutant, flush=True)
            if done % 50 == 0:
                print(f"{done} of {len(mutants)} tried, {len(survivors)} survived", file=sys.stderr, flush=True)
        time.sleep(0.01)
    return survivors


def main() -> int:
    """Try the mutants; exit code 1 where some survive."""
    parser = argparse.ArgumentParser(
        description="Change the code in one place at a time, and see whether a test fails."
    )
    parser.add_argument(
        "--module", action="append", default=[], help="a module or folder, as session/record/store.py; repeatable"
    )
    parser.add_argument("--line", help="only changes that begin in this line, or in these: N or N-M")
    parser.add_argument("--jobs", type=int, default=1, help="how many to try at once (default 1)")
    parser.add_argument("--limit", type=int, help="try a random sample of so many")
    parser.add_argument("--seed", type=int, default=0, help="which sample (default 0)")
    parser.add_argument("--list", action="store_true", help="print the changes and try none")
    options = parser.parse_args()
    known, paths = equivalent(), modules(options.module)
    mutants = mutants_of(paths, options.line)
    if not options.module and options.line is None:
        for stale in sorted(known - {mutant.key for mutant in mutants}):
            print(f"{EQUIVALENT.name} names a change that is not there any more: {stale}", file=sys.stderr)
    mutants = [mutant for mutant in mutants if mutant.key not in known]
    if options.limit is not None and options.limit < len(mutants):
        mutants = random.Random(options.seed).sample(mutants, options.limit)  # noqa: S311 - no secret
    if options.list:
        print(*(f"{mutant}    [{mutant.key}]" for mutant in mutants), sep="\n")
        return 0
    os.chdir(ROOT)
    preload()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        slots = [Slot(copy_tree(Path(folder, str(number), "tree"))) for number in range(options.jobs)]
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        limit = 30 + 4 * check_baseline(slots, sorted({mutant.path for mutant in mutants}))
        try:
            survivors = try_out(mutants, slots, limit)
        finally:
            for slot in slots:
                if slot.mutant is not None:
                    stop(slot)
    print(f"{len(mutants)} tried, {len(survivors)} survived", file=sys.stderr)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
