"""Collects what the checks find, each with its place, so that one run tells all of it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from edge.strict_yaml import Path, dotted

from .layers import Layers
from .problems import INVALID, Place, Problem


class Report:
    """The problems and the warnings of one configuration."""

    def __init__(self, layers: Layers) -> None:
        self.layers = layers
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self.broken: set[Path] = set()      # what `shape` took out: of sections around it nothing can be said

    def problem(self, path: Path, message: str, way_out: str) -> None:
        """A value that cannot be used."""
        if any(broken[:len(path)] == path for broken in self.broken):
            return
        self.problems.append(Problem(INVALID, self.layers.place(path), dotted(path), message, way_out))

    def variable(self, name: str, message: str, way_out: str) -> None:
        """The same for a variable of the environment."""
        self.problems.append(Problem(INVALID, Place("environment"), name, message, way_out))

    def warn(self, path: Path, message: str) -> None:
        """Something to know; the value is used."""
        self.warnings.append(f"{self.layers.place(path)}: {dotted(path)}: {message}")


def suggest(word: str, known: Iterable[str]) -> str:
    """`did you mean ...?` for a misspelt name, or the names there are."""
    names = {name.lower(): name for name in sorted(known)}
    near = get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {names[near[0]]}?"
    return f"there are: {', '.join(names.values())}" if names else "there are none yet"
