"""Collects what the checks find, each with its place, so that one run tells all of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from edge.config.layers import Layers
from edge.config.problems import INVALID, Place, Problem
from edge.strict_yaml import Path, dotted

MOST_LOOKS = 20_000         # names that misspelt ones are compared with: a tenth of a second
SHOWN = 20                  # names that a way out lists


class Report:
    """The problems and the warnings of one configuration."""

    def __init__(self, layers: Layers) -> None:
        self.layers = layers
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self._broken: set[Path] = set()     # what `shape` took out, and the sections around it
        self._looks = MOST_LOOKS

    def broken(self, path: Path) -> None:
        """A value was taken out: of sections around it nothing can be said."""
        self._broken.update(path[:end] for end in range(len(path) + 1))

    def suggest(self, word: str, known: Collection[str]) -> str:
        """What was meant, or the names there are; of a file full of misspelt names, the first ones' alone."""
        self._looks -= len(known)
        return suggest(word, known) if self._looks >= 0 else "correct the problems above first"

    def problem(self, path: Path, message: str, way_out: str) -> None:
        """A value that cannot be used."""
        if path in self._broken:
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
    if not names:
        return "there are none yet"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"there are: {', '.join(list(names.values())[:SHOWN])}{more}"
