"""What the catalogue says of a model, by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edge.values.patterns import covers
from edge.values.snapshot import Traits

UNSAID = Traits("")         # of whatever it does not name


def finder(catalogue: Iterable[Traits]) -> Callable[[str], Traits]:
    """What is said of a name, which may be a pattern: by itself, else by the first pattern that covers it.

    A name that differs from one of them in the case of its letters alone is the same model to many a provider, and so
    it is here: what is off is not had by another spelling.
    """
    given = tuple(catalogue)
    alike = {plain(each.name): each for each in reversed(given)}
    names = {each.name: each for each in given}
    patterns = [(plain(each.name), each) for each in given if "*" in each.name]

    def find(name: str) -> Traits:
        found = names.get(name) or alike.get(plain(name))
        return found or next((each for pattern, each in patterns if covers(pattern, plain(name))), UNSAID)
    return find


def plain(name: str) -> str:
    """As providers read it that do not tell small letters from capitals."""
    return name.strip().casefold()
