"""Reads one document: values, the place of each, and all that is wrong with it up to the first error of syntax."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from edge.strict_yaml.document import Document, Path, Problem, StrictYAMLError
from edge.strict_yaml.scalars import BOOL, NULL, number, trap
from edge.strict_yaml.syntax import syntax_problem

_MAX_DEPTH = 32
# c-printable, section 5.1; surrogates come from undecodable bytes in environment variables.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


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
            self.problems.append(syntax_problem(error, self.text))
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
                self.add(event, at, f"the key is here twice, first at line {first}",
                         "keep one of the two, with what stands under both")
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
        elif wrong := trap(text):
            self.add(event, at, wrong[0], f'write "{text}"')
        elif not isinstance(self.value(event, at), str):
            self.add(event, at, f"the key {text or '(empty)'} is not a text", f'write "{text}"')
        return text

    def scalar(self, event: Any, path: Path) -> Any:
        text: str = event.value
        if not event.implicit[0]:
            return text                     # in quotes, or a block
        if NULL.fullmatch(text):
            return None
        if found := BOOL.fullmatch(text):
            return found[1] is None
        if (value := number(text)) is not None:
            return value
        if wrong := trap(text):
            self.add(event, path, *wrong)
        return text


class _TooDeep(Exception):
    """Ends the reading of a text that nests without end."""


def place(event: Any) -> tuple[int, int]:
    """Line and column of an event, from 1."""
    return event.start_mark.line + 1, event.start_mark.column + 1
