"""What a text holds and where; and what is wrong with it, where there is something."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]

_KEY_ESCAPES = re.compile(r"[.\[\]\s]")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to put right. Places count from 1; `path` is of the value it is about, or empty."""

    line: int
    column: int
    path: Path
    message: str
    way_out: str

    @property
    def key(self) -> str:
        """The path as an operator writes it."""
        return dotted(self.path)


class StrictYAMLError(Exception):
    """A text that cannot be read, with everything that is wrong with it up to the first error of syntax.

    `document` holds all of it where only values are wrong, for those who would tell what else is; those values in it
    mean nothing. None: there is an error of syntax.
    """

    def __init__(self, name: str, problems: list[Problem], document: Document | None) -> None:
        self.name = name
        self.problems = sorted(problems, key=lambda problem: (problem.line, problem.column))
        self.document = document
        super().__init__(name, self.problems)

    def __str__(self) -> str:
        return "\n".join(f"{self.name}:{p.line}:{p.column}: {f'{p.key}: ' if p.key else ''}"
                         f"{p.message} - {p.way_out}" for p in self.problems)


class Document:
    """The values of a text, and where each stands."""

    def __init__(self, data: Any, places: dict[Path, tuple[int, int]]) -> None:
        self.data = data
        self._places = places

    def where(self, path: Path) -> tuple[int, int]:
        """Line and column of a mapping's key or a list's item; of the section around it if it is missing."""
        while path and path not in self._places:
            path = path[:-1]
        return self._places.get(path, (1, 1))


def dotted(path: Path) -> str:
    """A path as an operator writes it: `keys[0].rate_limit`; keys that hold dots are quoted."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + (f'"{step}"' if _KEY_ESCAPES.search(step) else step)
    return text
