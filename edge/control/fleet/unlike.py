"""Hosts of a fleet that are not alike: what an operator is told of them, once each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

ROLLOUT = 5.0               # seconds: a change that is on its way to all hosts is nothing to be told of

VERSION = "a host of the fleet runs another version of edge: it shares limits as long as both know the same scripts"
LIMITS = ("a host of the fleet has other limits: the smaller numbers rule for all; two fleets on one Redis want a "
          "redis.prefix each")


class Unlike:
    """What was seen of the others. `hosts` come as (name, note), times in seconds."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], float] = {}
        self.told: set[tuple[str, str]] = set()

    def look(self, own: dict[str, Any], hosts: Iterable[tuple[str, dict[str, Any]]],
             now: float) -> Iterator[tuple[str, dict[str, Any]]]:
        """What is to be said, and its facts."""
        seen = {(what, name): note for name, note in hosts for what in ("version", "limits_of")
                if note.get(what, own[what]) != own[what]}
        self.seen = {key: self.seen.get(key, now) for key in seen}
        self.told &= seen.keys()
        for (what, name), since in self.seen.items():
            if (what, name) not in self.told and now >= since + ROLLOUT:
                self.told.add((what, name))
                note = seen[what, name]
                yield VERSION if what == "version" else LIMITS, {
                    "host": name, **{fact: note.get(fact) for fact in ("node", "version", "config_version")}}
