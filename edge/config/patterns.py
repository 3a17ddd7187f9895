"""Names with `*`, which stands for any run of characters, none included."""

from __future__ import annotations

from edge.strict_yaml import Path

from .report import Report


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


def check(report: Report, path: Path, pattern: str) -> None:
    """A pattern is visible text, and `**` says no more than `*`."""
    if not pattern.isprintable() or pattern != pattern.strip() or "**" in pattern:
        report.problem(path, "is no pattern of a name", "write a name, with * for any characters, e.g. gpt-*")
