"""YAML without surprises: what two readers of YAML take for two things is an error with place and way out.

The values are those of YAML 1.2's core schema (section 10.3.2), as far as JSON has them too. PyYAML reads
YAML 1.1: there `on` and `NO` are booleans, `1:30` is 90, `010` is 8, and the later of two equal keys wins
without a word. Anchors, aliases, merge keys and tags are refused: a setting has one place, and no text grows
when it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

Path = tuple[str | int, ...]

_MAX_DEPTH = 32
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|(false|False|FALSE)")
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
# YAML 1.1's other booleans and numbers: https://yaml.org/type/
_WORD = re.compile(r"y|n|yes|no|on|off", re.IGNORECASE)
_SEXAGESIMAL = re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+(\.[0-9_]*)?([eE][-+]?[0-9]+)?")
_BASED = re.compile(r"[-+]?0(x[0-9a-fA-F_]+|o?[0-7_]+|b[01_]+)")
_GROUPED = re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?")
# c-printable, section 5.1; surrogates come from undecodable bytes in environment variables.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_KEY_ESCAPES = re.compile(r"[.\[\]\s]")

# libyaml's words, what they mean to somebody who writes a settings file, and what to do.
_SYNTAX = (
    ("tab character", "a tab where blanks are needed", "indent with spaces"),
    ("mapping values are not allowed", "a second ': ' on one line, or a wrong indentation",
     "put a text that holds ': ' in quotes, and line keys of one mapping up"),
    ("cannot start any token", "a character that no plain text begins with",
     "put the text in quotes; indent with spaces, not tabs"),
    ("unexpected end of stream", "the file ends inside quotes", "close the quotes that were opened here"),
    ("unexpected document indicator", "--- or ... inside quotes", "close the quotes that were opened here"),
    ("expected ':'", "a line that is neither a key nor an item", "write `key: value`, or `- item` in a list"),
    ("expected key", "a line that is no key of this mapping",
     "line keys of one mapping up; check quotes above"),
    ("expected '-' indicator", "a line that is no item of this list",
     "begin items with `- ` and line them up"),
    ("expected ',' or ']'", "a [list] that is not closed", "put a comma between items and ] at the end"),
    ("expected ',' or '}'", "a {mapping} that is not closed", "put a comma between members and } at the end"),
    ("escape character", "an unknown \\ escape in double quotes", "write \\\\ for \\, or use single quotes"),
    ("<document start>", "a line that belongs to nothing above", "line keys of one mapping up"),
    ("expected node content", "a value is missing", "write a value, or close what was opened above"),
)


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


def load(text: str, name: str) -> Document:
    """Read one document; an empty text is None. Raises StrictYAMLError, which bears `name`."""
    return _Reader(text, name).read()


class _Reader:
    """Builds values out of events: PyYAML's own composer recurses without limit and resolves by YAML 1.1."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name
        self.problems: list[Problem] = []
        self.places: dict[Path, tuple[int, int]] = {}
        self.events: Iterator[Any] = iter(())

    def read(self) -> Document:
        self.check_characters()
        document = None if self.problems else self.document()
        if self.problems or document is None:
            raise StrictYAMLError(self.name, self.problems, document)
        return document

    def document(self) -> Document | None:
        """All that there is, values that are wrong included; None where it cannot be read to its end."""
        self.events = yaml.parse(self.text, Loader=yaml.CBaseLoader)
        data = None
        documents = 0
        try:
            for event in self.events:
                if not isinstance(event, yaml.NodeEvent):
                    continue
                documents += 1
                if documents == 1:
                    self.places[()] = place(event)
                    data = self.value(event, ())
                else:
                    self.add(event, (), "a second document", "keep one document in a file, without ---")
                    break
        except yaml.MarkedYAMLError as error:
            self.problems.append(_syntax_problem(error, self.text))
            return None
        except _TooDeep:
            return None
        return Document(data, self.places)

    def check_characters(self) -> None:
        found = _UNPRINTABLE.search(self.text)
        if found:
            before = self.text[:found.start()]
            self.problems.append(Problem(
                before.count("\n") + 1, found.start() - (before.rfind("\n") + 1) + 1, (),
                f"the character U+{ord(found[0]):04X} has no place in a text file",
                'remove it; in double quotes it can be written as an escape such as "\\x07"'))

    def add(self, event: Any, path: Path, message: str, way_out: str) -> None:
        line, column = place(event)
        self.problems.append(Problem(line, column, path, message, way_out))

    def value(self, event: Any, path: Path) -> Any:
        if isinstance(event, yaml.AliasEvent):
            self.add(event, path, f"the alias *{event.anchor}", "write the value out")
            return None
        if event.anchor:
            self.add(event, path, f"the anchor &{event.anchor}", "aliases are not read: write values out")
        if event.tag:
            self.add(event, path, f"the tag {event.tag}", "quotes make a text; anything else needs no tag")
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event, path)
        if len(path) >= _MAX_DEPTH:
            self.add(event, path[:4], f"more than {_MAX_DEPTH} levels", "nothing here needs that many")
            raise _TooDeep
        return self.mapping(path) if isinstance(event, yaml.MappingStartEvent) else self.sequence(path)

    def sequence(self, path: Path) -> list[Any]:
        items: list[Any] = []
        for event in self.events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            at = (*path, len(items))
            self.places[at] = place(event)
            items.append(self.value(event, at))
        return items

    def mapping(self, path: Path) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for event in self.events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self.key(event, path)
            at = (*path, key)
            if key in members:
                first = self.places[at][0]
                self.add(event, at, f"the key is here twice, first at line {first}", "keep one of the two")
            else:
                self.places[at] = place(event)
            members[key] = self.value(next(self.events), at)
        return members

    def key(self, event: Any, path: Path) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            self.value(event, (*path, "?"))     # past it
            self.add(event, (*path, ""), "a key that is no text", "keys are names or texts in quotes")
            return ""
        text = str(event.value)
        at = (*path, text)
        if not event.implicit[0]:
            self.value(event, at)           # quoted, or with a tag that is complained of there
        elif text == "<<":
            self.add(event, at, "the merge key <<", "write the members out")
        elif trap := _trap(text):
            self.add(event, at, trap[0], f'write "{text}"')
        elif not isinstance(self.value(event, at), str):
            self.add(event, at, f"the key {text or '(empty)'} is not a text", f'write "{text}"')
        return text

    def scalar(self, event: Any, path: Path) -> Any:
        text: str = event.value
        if not event.implicit[0]:
            return text                     # in quotes, or a block
        if _NULL.fullmatch(text):
            return None
        if found := _BOOL.fullmatch(text):
            return found[1] is None
        if (number := _number(text)) is not None:
            return number
        if trap := _trap(text):
            self.add(event, path, *trap)
        return text


class _TooDeep(Exception):
    """Ends the reading of a text that nests without end."""


def place(event: Any) -> tuple[int, int]:
    """Line and column of an event, from 1."""
    return event.start_mark.line + 1, event.start_mark.column + 1


def _number(text: str) -> int | float | None:
    """The number that a plain text is in every version of YAML; None for all else and for what overflows."""
    if _INT.fullmatch(text):
        return int(text) if len(text) <= 20 and abs(int(text)) < 1 << 63 else None
    if _FLOAT.fullmatch(text):
        number = float(text)
        return number if abs(number) != float("inf") else None
    return None


def _trap(text: str) -> tuple[str, str] | None:
    """What is wrong with a plain text that looks like something else, and what to write."""
    quoted = f'"{text}" for the text'
    if _WORD.fullmatch(text):
        meant = "true" if text.lower() in ("y", "yes", "on") else "false"
        return f"{text} is a truth value to some readers of YAML", f"write {meant}, or {quoted}"
    if _LEADING_ZERO.fullmatch(text) or _BASED.fullmatch(text):
        return f"{text} is not decimal to some readers of YAML", f"write the decimal number, or {quoted}"
    if _SEXAGESIMAL.fullmatch(text):
        return f"{text} is a number to base 60 to some readers of YAML", f"write the number, or {quoted}"
    if _GROUPED.fullmatch(text):
        return f"{text} is a number to some readers of YAML", f"write {text.replace('_', '')}, or {quoted}"
    if _INFINITE.fullmatch(text) or (_FLOAT.fullmatch(text) and _number(text) is None):
        return f"{text} is not a number that can be used here", f"write a smaller number, or {quoted}"
    return None


def _syntax_problem(error: yaml.MarkedYAMLError, text: str) -> Problem:
    said = str(error.problem or error.context or "not YAML")
    message, way_out = said, "check indentation, quotes and brackets at and above this line"
    for part, meaning, way in _SYNTAX:
        if part in said:
            message, way_out = meaning, way
            break
    # An opened bracket or quote is missed at the end of the file; where it was opened helps more.
    mark = error.problem_mark
    if error.context_mark and ("not closed" in message or "inside quotes" in message):
        mark = error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = text.rstrip().split("\n")
    if line > len(lines):                   # at the end: not on a line that nobody wrote
        line, column = len(lines), len(lines[-1]) + 1
    return Problem(line, column, (), message, way_out)
