"""Imports go one way: a module knows its own package and the layers below it, and nothing else of edge."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.laws.sources import COMPILED, ROOT, files, relative

# From the ground up. A name stands for a module or for a package with all that is in it; two names of one
# layer do not know each other.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("_fast", "dialects", "strict_yaml"),
    ("values", "contract"),
    ("net", "config"),
    ("process",),
    ("worker", "control", "simulator", "quickstart"),
    ("supervisor",),
    ("cli",),
    ("__main__",),
)
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}
MODULES = [path for path in files(".py", ".pyi") if path.is_relative_to(ROOT / "edge")]
FAST = ROOT / "edge/_fast"


def part(module: str) -> str:
    """The layer's name for a dotted name inside edge; empty for edge itself."""
    return module.split(".")[1] if "." in module else ""


def imported(path: Path) -> set[str]:
    """Dotted names of everything in edge that a file imports, also inside functions and for types alone."""
    package = list(path.relative_to(ROOT).parent.parts)
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[:len(package) - node.level + 1] if node.level else []
            module = ".".join(start + ([node.module] if node.module else []))
            names = {f"{module}.{alias.name}" for alias in node.names}
            found |= names if module in ("edge", "edge._fast") else {module}
    return {name for name in found if name == "edge" or name.startswith("edge.")}


def test_modules_import_only_downwards() -> None:
    """A module imports nothing of its own layer but its own package, and nothing of a layer above."""
    wrong = []
    for path in MODULES:
        own = part(".".join(path.relative_to(ROOT).with_suffix("").parts))
        height = -1 if own == "__init__" else HEIGHT.get(own)
        if height is None:
            wrong.append(f"{relative(path)} has no layer")
            continue
        wrong += [f"{relative(path)} imports {name}" for name in sorted(imported(path))
                  if part(name) not in ("", own, "__version__") and HEIGHT.get(part(name), 99) >= height]
    assert wrong == []


def test_the_compiled_part_is_entered_by_its_front() -> None:
    """Outside of edge._fast nobody imports one of its modules: its front hands out what others may use."""
    private = {path.stem for path in files(".pyx", ".pyi") if path.parent == FAST} - {"__init__"}
    assert [f"{relative(path)} imports {name}" for path in MODULES if FAST not in path.parents
            for name in sorted(imported(path))
            if name.startswith("edge._fast.") and name.split(".")[2] in private] == []


def test_compiled_modules_know_nothing_of_edge() -> None:
    """A compiled module imports and cimports from its own package at most."""
    outside = re.compile(r"^\s*(?:from|import|cimport)\s+(?:edge(?!\._fast\b)|\.\.)", re.M)
    assert [relative(path) for path in files(*COMPILED) if outside.search(path.read_text())] == []
