"""What both kinds of shared limits have in common: how control speaks of them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

BATCH = 64                  # limits of one call: more would block Redis for over a millisecond
MOST = 16 * BATCH           # of a round: what would take Redis longer than a call may take never has an answer
GROUPS = 16                 # of limits, in a cluster: each lies in one slot


class Limit(Protocol):
    """One that is in use."""

    name: str
    fault: str


L = TypeVar("L", bound=Limit)


class Book(Protocol[L]):
    """All of one kind. `script` is what speaks of them, `key` what their keys begin with, `seq` the number's place.

    `common` are the names of the keys that the script needs beside theirs.
    """

    script: str
    key: str
    seq: int
    common: tuple[str, ...]
    active: dict[int, L]

    def due(self, asking: list[int], now: int) -> list[L]:
        """Those to speak of."""

    def say(self, limit: L, now: int) -> list[int] | None:
        """What a message says, if there is one."""

    def flat(self, words: list[int]) -> list[Any]:
        """That, as the script gets it."""

    def hear(self, limit: L, life: int, seq: int, answer: Any, now: int) -> None:
        """Its answer. What it gives is void in this host's next life."""

    def renew(self, group: int, life: int, sent: int, now: int) -> None:
        """Redis has counted this host as alive, by a word that was sent then."""

    def fail(self, limit: L, fault: str, now: int) -> None:
        """There was none of use."""


@dataclass(slots=True)
class Batch:
    """Limits of one group that are spoken of in one call: each with what is said of it."""

    book: Book[Any]
    group: int
    said: list[tuple[Any, list[int]]]

    @property
    def flat(self) -> list[Any]:
        """As the script gets it."""
        return [each for _, words in self.said for each in self.book.flat(words)]

    def hear(self, answer: list[Any], now: int) -> list[Any]:
        """What a script has answered. Returns the limits that are found to have a fault."""
        found = []
        for (each, words), said in zip(self.said, answer[2:], strict=True):
            before = each.fault
            self.book.hear(each, int(answer[0]), words[self.book.seq], said, now)
            if each.fault and not before:
                found.append(each)
        return found

    def fail(self, fault: str, now: int) -> None:
        """There was no answer."""
        for each, _ in self.said:
            self.book.fail(each, fault, now)


def group(name: str, *, cluster: bool) -> int:
    """Limits of one group are spoken of together."""
    return zlib.crc32(name.encode()) % GROUPS if cluster else 0


def batches(book: Book[Any], asking: list[int], now: int, *, cluster: bool) -> Iterator[Batch]:
    """All that there is to say of a book's limits, by group, and cut."""
    groups: dict[int, list[tuple[Any, list[int]]]] = {}
    for each in book.due(asking, now):
        words = book.say(each, now)
        if words is not None:
            groups.setdefault(group(each.name, cluster=cluster), []).append((each, words))
    for number, said in groups.items():
        yield from (Batch(book, number, said[at:at + BATCH]) for at in range(0, len(said), BATCH))
