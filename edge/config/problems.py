"""What is wrong with a configuration: every problem with its place, its code and the way out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SYNTAX = "CONFIG_001"       # the file cannot be read as YAML
MISSING = "CONFIG_002"      # a required key is absent
INVALID = "CONFIG_003"      # anything else
# No fault of the configuration's; `edge explain` knows them by TokenPak's contract.
MEMORY = "RESOURCE_001"     # there is no memory for it
FULL = "RESOURCE_002"       # what has to be written of it finds no room
FAULT = "INTERNAL_001"      # what else kept it from being read

# For `edge explain`: what each is, why, and what to do. A running gateway tells them by the conditions config_invalid,
# config_missing_field and config_value, in its contract's own codes.
MEANINGS = {
    SYNTAX: ("The configuration cannot be read.",
             "The file is not there or may not be read; or a line of it is no YAML, or readers of YAML disagree on it.",
             "Mend what is named, by file, line and column, and run `edge config validate`."),
    MISSING: ("The configuration lacks a key that it must have.",
              "port, listen_addr, providers and keys are required, and a provider's kind and base_url where its name "
              "does not tell them.",
              "Add the key; each problem shows how it is written."),
    INVALID: ("The configuration can be read, and a value in it cannot be used.",
              "A key that there is not, a value of another type or beyond its range, a name that leads nowhere, a "
              "secret that is not to be had, or two settings that exclude each other.",
              "Each problem names file, line, column and key, and the way out. `edge config schema` lists all keys."),
}

EX_CONFIG = 78              # sysexits.h; systemd's RestartPreventExitStatus knows it by this number

@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: a file with line and column (from 1), a variable, a flag, or a default."""

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.source, self.line, self.column) if part is not None)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to put right. CONFIG_001 and CONFIG_002 have TokenPak's messages; `detail` says more."""

    code: str
    place: Place
    key: str
    message: str
    way_out: str
    detail: str = ""

    def facts(self) -> dict[str, str | int | None]:
        """For programs."""
        message = f"{self.message} ({self.detail})" if self.detail else self.message
        return {"code": self.code, "file": self.place.source, "line": self.place.line, "column": self.place.column,
                "key": self.key or None, "message": message, "way_out": self.way_out}

    def __str__(self) -> str:
        said = f"{self.message} ({self.detail})" if self.detail else self.message
        if self.code == INVALID and self.key:
            said = f"{self.key}: {said}"
        return f"{self.place}: {self.code} {said}"


class ConfigError(Exception):
    """A configuration that cannot be used, with all that is wrong with it. Its text holds no secret."""

    exit_code = EX_CONFIG

    def __init__(self, problems: Sequence[Problem]) -> None:
        sources = list(dict.fromkeys(problem.place.source for problem in problems))
        self.problems = tuple(sorted(
            problems, key=lambda p: (sources.index(p.place.source), p.place.line or 0, p.place.column or 0)))
        super().__init__(self.problems)

    def render(self) -> str:
        """For a terminal: two lines per problem, then their number."""
        lines = [line for p in self.problems for line in (str(p), f"    way out: {p.way_out}")]
        number = len(self.problems)
        lines.append(f"{number} problem{'' if number == 1 else 's'}: the configuration is not in force")
        return "\n".join(lines)

    def __str__(self) -> str:
        return "; ".join(str(p) for p in self.problems)
