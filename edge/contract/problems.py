"""What is wrong with a contract: every problem with its place and the way out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge import strict_yaml
from edge.strict_yaml import Document, Path, StrictYAMLError, dotted


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to put right. Places count from 1; `key` is the dotted path it is about, or empty."""

    file: str
    line: int
    column: int
    key: str
    message: str
    way_out: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.file else ""
        return f"{place}{f'{self.key}: ' if self.key else ''}{self.message} - {self.way_out}"


class ContractError(Exception):
    """A contract that cannot be used, with all that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.file, p.line, p.column)))
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class Reader:
    """A YAML file under examination: `problems` grows while it is looked at."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        try:
            self.document = strict_yaml.load(text, file)
        except StrictYAMLError as error:
            raise ContractError([Problem(file, p.line, p.column, p.key, p.message, p.way_out)
                                 for p in error.problems]) from None

    def add(self, path: Path, message: str, way_out: str) -> None:
        """Something is wrong at a path, or nearest to it."""
        self.problems.append(Problem(self.file, *self.document.where(path), dotted(path), message, way_out))

    def unknown(self, path: Path, known: Sequence[str]) -> None:
        """The last step of a path is none of the known ones."""
        name = str(path[-1])
        self.add(path, f"there is no {name} here", instead(name, known))

    def members(self, path: Path, known: Sequence[str], required: Sequence[str] = ()) -> dict[str, object]:
        """The mapping at a path, with its unknown and its missing keys complained of."""
        value = at(self.document, path)
        if not isinstance(value, dict):
            self.add(path, "must be a mapping", f"write its members: {', '.join(known)}")
            return {}
        for key in value:
            if key not in known:
                self.unknown((*path, key), known)
        for key in required:
            if key not in value:
                self.add((*path, key), "is missing", f"add {key}")
        return value

    def finish(self) -> None:
        """Raises ContractError when there was anything."""
        if self.problems:
            raise ContractError(self.problems)


def at(document: Document, path: Path) -> object:
    """The value at a path; None where there is none."""
    value = document.data
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def instead(name: str, known: Sequence[str]) -> str:
    """What was meant, or what there is to choose from."""
    from difflib import get_close_matches  # for mistakes alone

    close = get_close_matches(name, known, 1)
    return f"{close[0]} is meant?" if close else f"one of {', '.join(known)}"
