"""Imports go one way: from room to room downwards, and inside a room without circles."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.laws.sources import COMPILED, ROOT, files, functions, relative

EDGE = ROOT / "edge"
FAST = EDGE / "_fast"
# The rooms of edge from the ground up. Two rooms of one layer do not know each other.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("_fast", "dialects", "strict_yaml"),
    ("values", "contract"),
    ("store",),
    ("net", "config"),
    ("process",),
    ("worker", "control", "simulator"),
    ("supervisor",),
    ("cli",),
)
HEIGHT = {room: height for height, layer in enumerate(LAYERS) for room in layer}
# And those of the compiled part. The last is no folder: the facade, on top of them all.
FAST_LAYERS: tuple[tuple[str, ...], ...] = (
    ("http", "json"), ("contract",), ("shared",), ("dialect",), ("io",), ("way",), ("gateway",))
FAST_HEIGHT = {room: height for height, layer in enumerate(FAST_LAYERS) for room in layer}
AT_THE_TOP = {"__init__.py", "__main__.py", "py.typed"}


def dotted(path: Path) -> str:
    """A file's name as imports have it."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {dotted(path): path for path in files(".py", ".pyi") if path.is_relative_to(EDGE)}
FAST_FILES = [path for path in files(*COMPILED, ".py", ".pyi", ".h") if FAST in path.parents
              and path != FAST / "__init__.py"]
NAMING = re.compile(r"""^\s*(?:(?:from|import|cimport)\s+(?P<module>[.\w]+)
                        |(?:\#?include|cdef\s+extern\s+from)\s+"(?P<file>[^"]+)")""", re.M | re.X)


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


def fast_name(path: Path) -> str:
    """A file's name from its room on, as `http.head`, which all files have that make one module."""
    return ".".join(path.resolve().relative_to(FAST.resolve()).with_suffix("").parts).removesuffix(".__init__")


def fast_room(name: str) -> str:
    """The room of such a name."""
    return name.partition(".")[0]


def fast_named(path: Path) -> set[str]:
    """What a file of the compiled part imports, cimports and includes of that part."""
    found: set[str] = set()
    for each in NAMING.finditer(path.read_text()):
        if each["file"]:
            found |= {fast_name(folder / each["file"]) for folder in (path.parent, FAST)
                      if (folder / each["file"]).exists()}
        else:
            module = re.sub(r"^\.", f"{dotted(path.parent)}.", each["module"]).rstrip(".")
            if f"{module}.".startswith("edge._fast."):
                found.add(module.removeprefix("edge._fast").removeprefix("."))
    return found - {fast_name(path)}


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


def test_the_compiled_part_holds_rooms_alone() -> None:
    """In the compiled part nothing lies beside the rooms but the front and the facade, and every room has its layer."""
    rooms = {path.name for path in FAST.iterdir() if path.is_dir()} - {"__pycache__"}
    assert rooms | {"gateway"} == set(FAST_HEIGHT)
    assert {path.stem for path in FAST_FILES if path.parent == FAST} == {"gateway"}


def test_compiled_rooms_know_those_below_alone() -> None:
    """A file of the compiled part imports, cimports and includes from its own room and from layers below it."""
    wrong = []
    for path in FAST_FILES:
        own = fast_room(fast_name(path))
        wrong += [f"{relative(path)} names {name or 'the front'}" for name in sorted(fast_named(path))
                  if fast_room(name) != own and FAST_HEIGHT.get(fast_room(name), len(FAST_LAYERS)) >= FAST_HEIGHT[own]]
    assert wrong == []


def test_no_compiled_module_names_what_names_it() -> None:
    """In the compiled part there is no circle of imports, cimports and includes."""
    graph: dict[str, set[str]] = {}
    for path in FAST_FILES:
        graph.setdefault(fast_name(path), set()).update(fast_named(path))
    assert [name for name in graph if name in reached(graph, name)] == []


def test_sockets_know_no_stage() -> None:
    """Though one C unit holds both, no file of `io` calls a function that a stage of the way or the facade defines."""
    above: set[str] = set()
    for path in (*(FAST / "way").glob("*.pxi"), FAST / "gateway.pyx"):
        lines = path.read_text().splitlines()
        above |= {each.name for each in functions(path) if not lines[each.line - 1].startswith(" ")}
    assert len(above) > 100
    assert [f"{relative(path)} calls {name}" for path in (FAST / "io").glob("*.pxi")
            for name in re.findall(r"(?<![.\w])(\w+)\(", path.read_text()) if name in above] == []
