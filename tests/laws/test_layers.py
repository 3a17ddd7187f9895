"""Imports go one way: from room to room downwards, and inside a room without circles."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.laws.sources import COMPILED, ROOT, files, relative

EDGE = ROOT / "edge"
FAST = EDGE / "_fast"
# The rooms of edge from the ground up. Two rooms of one layer do not know each other.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("_fast", "dialects", "strict_yaml"),
    ("values", "contract"),
    ("net", "config"),
    ("process",),
    ("worker", "control", "simulator"),
    ("supervisor",),
    ("cli",),
)
HEIGHT = {room: height for height, layer in enumerate(LAYERS) for room in layer}
AT_THE_TOP = {"__init__.py", "__main__.py", "py.typed"}


def dotted(path: Path) -> str:
    """A file's name as imports have it."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {dotted(path): path for path in files(".py", ".pyi") if path.is_relative_to(EDGE)}


def room(module: str) -> str:
    """The room of a dotted name inside edge; empty for edge itself, its version and its `__main__`."""
    name = module.split(".")[1] if "." in module else ""
    return "" if name.startswith("__") else name


def imported(path: Path) -> set[str]:
    """The modules of edge that a file imports, also inside functions, for types alone, and by a name in a string."""
    package = list(path.relative_to(ROOT).parent.parts)
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[:len(package) - node.level + 1] if node.level else []
            module = ".".join(start + ([node.module] if node.module else []))
            names = {f"{module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES or module == "edge._fast" else module for name in names}
        elif isinstance(node, ast.Constant) and node.value in MODULES and "." in str(node.value):
            found.add(str(node.value))
    return {name for name in found if name == "edge" or name.startswith("edge.")}


def reached(graph: dict[str, set[str]], start: str) -> set[str]:
    """All that a module imports, and what these import, and so on."""
    found: set[str] = set()
    left = list(graph[start])
    while left:
        module = left.pop()
        if module not in found:
            found.add(module)
            left += graph.get(module, ())
    return found


def test_the_top_holds_rooms_alone() -> None:
    """No single file lies at the top of edge but those that Python looks for there, and every room has its layer."""
    tops = {path.name for path in EDGE.iterdir() if path.name != "__pycache__"}
    assert tops - AT_THE_TOP == set(HEIGHT)


def test_rooms_import_only_downwards() -> None:
    """A module imports from its own room and from layers below it, never from its own layer or one above."""
    assert [f"{module} imports {name}" for module, path in MODULES.items() if room(module)
            for name in sorted(imported(path))
            if room(name) not in ("", room(module)) and HEIGHT[room(name)] >= HEIGHT[room(module)]] == []


def test_no_module_imports_what_imports_it() -> None:
    """There is no circle of imports: nothing that a module imports leads back to it."""
    graph = {module: imported(path) - {module} for module, path in MODULES.items()}
    assert [module for module in graph if module in reached(graph, module)] == []


def test_the_compiled_part_is_entered_by_its_front() -> None:
    """Outside of edge._fast nobody imports one of its modules: its front hands out what others may use."""
    private = {path.stem for path in FAST.iterdir() if path.is_dir() or path.suffix == ".pyx"}
    assert [f"{module} imports {name}" for module, path in MODULES.items() if FAST not in path.parents
            for name in sorted(imported(path))
            if name.startswith("edge._fast.") and name.split(".")[2] in private] == []


def test_compiled_modules_know_nothing_of_edge() -> None:
    """A compiled module imports and cimports from its own package at most."""
    outside = re.compile(r"^\s*(?:from|import|cimport)\s+(?:edge(?!\._fast\b)|\.\.)", re.M)
    assert [relative(path) for path in files(*COMPILED) if outside.search(path.read_text())] == []


def test_names_are_cimported_one_by_one() -> None:
    """No Cython file takes all that a module declares: who uses what can be read, and a name has one source."""
    star = re.compile(r"^\s*from\s+\S+\s+cimport\s+\*", re.M)
    assert [relative(path) for path in files(*COMPILED) if star.search(path.read_text())] == []
