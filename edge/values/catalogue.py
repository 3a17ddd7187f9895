"""What the catalogue says of a model, by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edge.values.patterns import covers
from edge.values.snapshot import Traits

UNSAID = Traits("")         # of whatever it does not name


def finder(catalogue: Iterable[Traits]) -> Callable[[str], Traits]:
    """What is said of a name, which may be a pattern: by itself, else by the first pattern that covers it."""
    given = tuple(catalogue)
    names = {each.name: each for each in given}
    patterns = [each for each in given if "*" in each.name]

    def find(name: str) -> Traits:
        found = names.get(name)
        return found or next((each for each in patterns if covers(each.name, name)), UNSAID)
    return find
