"""Names with `*`, which stands for any run of characters, none included.

A name comes from outside and may be as long as a body: it is read once, where a regular expression would begin anew
at each of its characters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable


def covers(wide: str, narrow: str) -> bool:
    """Whether every name that `narrow` matches is matched by `wide`.

    A `*` of `narrow` is a character like no other here: only a `*` of `wide` takes it. So whether a name is
    matched and whether a pattern is covered are one question.
    """
    first, *rest = wide.split("*")
    if not rest:
        return wide == narrow
    if not narrow.startswith(first):
        return False
    at = len(first)
    for part in rest[:-1]:
        found = narrow.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return narrow.endswith(rest[-1]) and len(narrow) - len(rest[-1]) >= at


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """True for names that one of the patterns fits."""
    given = tuple(patterns)
    return lambda name: any(covers(pattern, name) for pattern in given)
