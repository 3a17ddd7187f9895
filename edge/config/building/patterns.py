"""Names with `*`, which stands for any run of characters, none included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edge.config.report import Report
from edge.strict_yaml import Path
from edge.values.patterns import covers


class Patterns:
    """Many patterns in order, asked which of them cover a name without a look at each.

    A pattern covers only what begins as it does and ends as it does, so patterns are kept by these two texts.
    """

    def __init__(self, given: Iterable[str] = ()) -> None:
        self._names: dict[str, int] = {}                                        # without `*`, and their places
        self._shapes: dict[tuple[int, int], dict[tuple[str, str], list[tuple[int, str]]]] = {}
        self._count = 0
        for pattern in given:
            self.add(pattern)

    def add(self, pattern: str) -> None:
        """Behind all before it."""
        first, star, rest = pattern.partition("*")
        if not star:
            self._names.setdefault(pattern, self._count)
        else:
            last = rest.rpartition("*")[2]
            alike = self._shapes.setdefault((len(first), len(last)), {})
            alike.setdefault((first, last), []).append((self._count, pattern))
        self._count += 1

    def covering(self, name: str) -> Iterator[str]:
        """Those that cover `name`, itself a pattern perhaps, in their order."""
        found = [(self._names[name], name)] if name in self._names else []
        for (begin, end), alike in self._shapes.items():
            if begin + end <= len(name):
                at = name[:begin], name[len(name) - end:]
                found += [each for each in alike.get(at, ()) if covers(each[1], name)]
        return (pattern for _, pattern in sorted(found))

    def cover(self, name: str) -> bool:
        """Whether any of them does."""
        return next(self.covering(name), None) is not None


def check(report: Report, path: Path, pattern: str) -> None:
    """A pattern is visible text, and `**` says no more than `*`."""
    if not pattern or not pattern.isprintable() or pattern != pattern.strip() or "**" in pattern:
        report.problem(path, "is no pattern of a name", "write a name, with * for any characters, e.g. gpt-*")
