"""Texts with {names} in them: {{ and }} stand for braces."""

from __future__ import annotations

from dataclasses import dataclass
from string import Formatter


@dataclass(frozen=True, slots=True)
class Name:
    """A place in a text that a value fills."""

    name: str


def parse(text: str) -> list[str | Name]:
    """The text's parts in order, none of them empty. Raises ValueError with what to do about it."""
    parts: list[str | Name] = []
    try:
        found = list(Formatter().parse(text))
    except ValueError:
        raise ValueError("write {name}, or {{ and }} for braces") from None
    for literal, name, spec, conversion in found:
        if literal:
            parts.append(literal)
        if name is None:
            continue
        if not name.isidentifier() or spec or conversion:
            raise ValueError("write {name} with nothing else in the braces, or {{ and }} for braces")
        parts.append(Name(name))
    return parts


def names(text: str) -> list[str]:
    """The names in a text."""
    return [part.name for part in parse(text) if isinstance(part, Name)]
