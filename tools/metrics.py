"""The size and the shape of ``ando_cli/``, held against their targets: ``python tools/metrics.py [FOLDER]``.

A room is a module or package at the top of the package. A floor is one step of the longest chain of imports between
rooms; imports inside functions and under ``TYPE_CHECKING`` count, what is imported by a computed name does not. Rooms
that import each other in a circle stand on one floor each, and the circle is reported. Exits with 1 where a target is
missed.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MOST_ROOMS = 26
MOST_FLOORS = 12
MOST_LINES = 350
MOST_LINES_OF_A_FUNCTION = 60
MOST_PARAMETERS = 8

ROOT = Path(__file__).resolve().parent.parent
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Metrics:
    """What was counted. Each finding is one line that names a place."""

    rooms: list[str]
    chain: list[str]
    cycles: list[list[str]]
    long_modules: list[str] = field(default_factory=list)
    long_functions: list[str] = field(default_factory=list)
    wide_functions: list[str] = field(default_factory=list)
    upward: list[str] | None = None
    """Imports that break the layers of ``[tool.importlinter]``; ``None`` where it names none."""

    @property
    def missed(self) -> bool:
        """Whether a target is missed."""
        findings = (self.cycles, self.long_modules, self.long_functions, self.wide_functions, self.upward)
        return len(self.rooms) > MOST_ROOMS or len(self.chain) > MOST_FLOORS or any(findings)


def measure(package: Path, layers: Iterable[Mapping[str, Any]] = ()) -> Metrics:
    """Count over all modules of ``package``.

    Args:
        package: its folder.
        layers: the contracts of type "layers", as ``[tool.importlinter]`` has them.
    """
    trees = {
        path: ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(package.rglob("*.py"))
        if "__pycache__" not in path.parts
    }
    names = {path: _module_name(package, path) for path in trees}
    rooms = sorted({path.relative_to(package).parts[0].removesuffix(".py") for path in trees})
    modules = set(names.values())
    imports = {
        names[path]: set(_imports(tree, names[path], path.name == "__init__.py", modules))
        for path, tree in trees.items()
    }

    graph: dict[str, set[str]] = {room: set() for room in rooms}
    for module, targets in imports.items():
        here = _room(module)
        # The package's own file is where __version__ stands, which all may read: only what it imports counts.
        graph[here] |= {_room(target) for target in targets} - {here, "__init__"}
    cycles = [sorted(group) for group in _circles(graph) if len(group) > 1]
    found = Metrics(rooms, _longest_chain(graph), cycles)

    options = {name for tree in trees.values() for name in _option_types(tree)}
    for path, tree in trees.items():
        place = path.relative_to(package.parent).as_posix()
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MOST_LINES:
            found.long_modules.append(f"{place}: {lines} lines")
        _measure_functions(place, tree, options, found)
    contracts = list(layers)
    if contracts:
        found.upward = sorted({line for contract in contracts for line in _upward(contract, imports)})
    return found


def _measure_functions(place: str, tree: ast.Module, options: set[str], found: Metrics) -> None:
    methods = {
        node for each in ast.walk(tree) if isinstance(each, ast.ClassDef) for node in each.body
        if isinstance(node, Function) and not _is_decorated(node, "staticmethod")
    }  # fmt: skip
    for node in ast.walk(tree):
        if not isinstance(node, Function):
            continue
        command = _is_decorated(node, "command", "callback") or (
            "/commands/" in place and _takes_options(node, options)
        )
        # What a command takes is said in its signature, which is as long as its options are many: its body counts.
        first = node.body[0].lineno if command else node.lineno
        lines = (node.end_lineno or first) - first + 1
        if lines > MOST_LINES_OF_A_FUNCTION:
            found.long_functions.append(f"{place}:{node.lineno} {node.name}: {lines} lines")
        taken = node.args
        count = len([*taken.posonlyargs, *taken.args, *taken.kwonlyargs]) + sum(
            each is not None for each in (taken.vararg, taken.kwarg)
        )
        count -= node in methods
        if count > MOST_PARAMETERS and not command:
            found.wide_functions.append(f"{place}:{node.lineno} {node.name}: {count} parameters")


def _option_types(tree: ast.Module) -> Iterator[str]:
    """The names of the types of options that a module defines, as ``Name = Annotated[..., typer.Option(...)]``."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and _says_option(node.value):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _takes_options(node: Function, options: set[str]) -> bool:
    """Whether it is a command that another module registers: it takes a context, and options after it."""
    taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    annotations = [each.annotation for each in taken if each.annotation is not None]
    if not annotations or not ast.unparse(annotations[0]).endswith("Context"):
        return False
    return any(_says_option(each) or (isinstance(each, ast.Name) and each.id in options) for each in annotations[1:])


def _says_option(node: ast.expr) -> bool:
    return any(
        isinstance(each, ast.Call) and ast.unparse(each.func) in ("typer.Option", "typer.Argument")
        for each in ast.walk(node)
    )


def _is_decorated(node: Function, *names: str) -> bool:
    """Whether it is decorated with one of ``names``, plain or as a method of something, such as ``@app.command()``."""
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
        if name in names:
            return True
    return False


def _module_name(package: Path, path: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _room(module: str) -> str:
    return [*module.split("."), "__init__"][1]


def _imports(tree: ast.Module, module: str, is_package: bool, modules: set[str]) -> Iterator[str]:
    """The modules of the package that ``module`` imports."""
    package = module.partition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")
            above = above[: len(above) - node.level + is_package] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            wanted = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in wanted:
            if name.partition(".")[0] == package:
                yield name if name in modules else name.rpartition(".")[0] or name


def _circles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """The groups of rooms that reach each other; a room in no circle is a group of its own."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for target in graph[waiting.pop()] - seen:
                seen.add(target)
                waiting.append(target)
        return seen

    reach = {room: reached(room) for room in graph}
    groups: list[set[str]] = []
    for room in graph:
        if not any(room in group for group in groups):
            groups.append({room} | {other for other in reach[room] if room in reach[other]})
    return groups


def _longest_chain(graph: Mapping[str, set[str]]) -> list[str]:
    """The longest chain of imports, from the top. The rooms of a circle count one each."""
    group_of = {room: sorted(group) for group in _circles(graph) for room in group}

    @cache
    def below(head: str) -> tuple[str, ...]:
        group = group_of[head]
        further = {group_of[target][0] for room in group for target in graph[room] if group_of[target] != group}
        chains: list[tuple[str, ...]] = [below(target) for target in sorted(further)]
        return (*group, *max(chains, key=len, default=()))

    chains: list[tuple[str, ...]] = [below(group[0]) for group in group_of.values()]
    longest = max(chains, key=len, default=())
    return list(longest)


def _upward(contract: Mapping[str, Any], imports: Mapping[str, set[str]]) -> Iterator[str]:
    """The imports that break ``contract``: up, or between two that share a layer and are to know nothing of each other
    (separated by ``|``)."""
    for container in contract.get("containers") or [""]:
        floor_of: dict[str, tuple[int, bool]] = {}
        for number, layer in enumerate(contract.get("layers", ())):
            apart = ":" not in layer
            for name in layer.replace("|", ":").split(":"):
                bare = name.strip().strip("()").strip()
                floor_of[f"{container}.{bare}" if container else bare] = (number, apart)
        for module, targets in imports.items():
            here = _layer_of(module, floor_of)
            for target in targets:
                there = _layer_of(target, floor_of)
                if here is None or there is None or here == there:
                    continue
                (own, apart), (other, _) = floor_of[here], floor_of[there]
                if other < own or (other == own and apart):
                    yield f"{module} imports {target}"


def _layer_of(module: str, floor_of: Mapping[str, Any]) -> str | None:
    names = [name for name in floor_of if module == name or module.startswith(f"{name}.")]
    return max(names, key=len) if names else None


def report(found: Metrics) -> str:
    """The numbers, and under each that misses its target, where."""
    lines = [_line("rooms", len(found.rooms), MOST_ROOMS), _line("floors", len(found.chain), MOST_FLOORS)]
    lines.append("    " + " > ".join(found.chain))
    by_target: dict[str, list[str]] = {}
    by_target["circles of rooms"] = [" <> ".join(group) for group in found.cycles]
    by_target[f"modules over {MOST_LINES} lines"] = found.long_modules
    by_target[f"functions over {MOST_LINES_OF_A_FUNCTION} lines"] = found.long_functions
    by_target[f"functions with over {MOST_PARAMETERS} parameters"] = found.wide_functions
    if found.upward is not None:
        by_target["imports that break the layers"] = found.upward
    for title, places in by_target.items():
        lines.append(_line(title, len(places), 0))
        lines += [f"    {place}" for place in places]
    return "\n".join(lines)


def _line(title: str, count: int, most: int) -> str:
    return f"{title:<36}{count:>4}  (at most {most})" + ("  MISSED" if count > most else "")


def main() -> int:
    """Print the report and return the exit code."""
    package = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "ando_cli"
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"].get("importlinter", {}).get("contracts", [])
    found = measure(package, [contract for contract in contracts if contract.get("type") == "layers"])
    print(report(found))
    return 1 if found.missed else 0


if __name__ == "__main__":
    sys.exit(main())
