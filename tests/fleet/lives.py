"""Which hosts live, as Redis knows it, as pure functions of (lives, word, time); lives.lua is the same there.

Each word of a host is a sign that it lives, whatever limit it is of. A lease is as good as the life in which it was
given, which silence ends; and it ends by itself some time after the last word of its own limit, so that what a host has
forgotten to give back is not lost for good. An epoch in which nobody is known to live is a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

RECLAIM = 1_100_000
"""How long a life goes on without a word, us: longer than the host spends without an answer by 10 %."""
NOBODY = ""
"""Whose what nobody knows of is. It lives for ever, in the life 0."""


class Life(NamedTuple):
    """Of a host: its name, which is when it began (us), and when silence ends it."""

    name: int
    until: int


Lives = dict[str, Life]


class Lease(Protocol):
    """What a host has of a limit, in which life and until when (us)."""

    @property
    def life(self) -> int:
        """Its name."""

    @property
    def reclaim(self) -> int:
        """When it ends if the life does not."""


def live(lives: Lives, host: str, now: int) -> tuple[Lives, int]:
    """A host's word: all lives, and the name of its own."""
    before = lives.get(host)
    name = before.name if before and before.until > now else now
    return {**lives, host: Life(name, now + RECLAIM)}, name


def met(lives: Lives, leases: Mapping[str, Lease], now: int) -> Lives:
    """Lives after one was looked for of each host with a lease: what has ended stays so, if time itself goes back."""
    names = {host for host, lease in leases.items() if lease.reclaim > now}
    return {name: life._replace(until=min(life.until, now + RECLAIM)) if name in names else life
            for name, life in lives.items() if name not in names or life.until > now}


def good(lives: Lives, host: str, lease: Lease, now: int) -> bool:
    """Whether a host has still what it was given."""
    life = lives.get(host, Life(0, now + 1) if host == NOBODY else Life(-1, 0))
    return lease.reclaim > now and life.until > now and life.name == lease.life
