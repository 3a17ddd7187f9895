"""What operators say of targets holds on all hosts: `edge circuits open` on one host takes the target out everywhere.

The last word wins, by Redis's clock: a host tells how long ago its operator spoke. One that Redis has lost is said
once more by whoever holds to it, and one that was taken back is remembered for a day, lest a host that comes back bring
it in again. Without Redis a word holds on its own host, and on the others later.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edge._fast import FORCINGS, Healths
from edge.control.state import State
from edge.values.registry import named, places

log = logging.getLogger("edge")


DAY = 86_400_000_000_000        # ns


@dataclass(slots=True)
class Held:
    """What is said of one target. `given`: when an operator said what holds here, ns of this host's clock; 0: never."""

    index: int
    given: int = -1                 # as far as the others know; -1: nothing was heard since the start
    unheard: bool = False           # the others are to hear it,
    sent: bool = False              # with the call that is on its way


class Orders:
    """Of one version of the configuration."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}

    def load(self, state: State) -> None:
        """Another version."""
        self.healths = Healths(state.slab)
        found = {named(place): state.registry.target(*place) for place in dict.fromkeys(places(state.snapshot))}
        self.held = {name: self.held[name] if name in self.held and self.held[name].index == index else Held(index)
                     for name, index in found.items()}

    def words(self, now: int) -> Iterator[tuple[str, str, int, int]]:
        """What operators have said here: which target, which state, and how many us ago."""
        for name, held in self.held.items():
            here, given = self.healths.forced(held.index)
            if held.given not in (-1, given):
                held.given, held.unheard = given, True
            held.sent = held.unheard
            if held.sent:
                yield "force", name, FORCINGS.index(here), (now - given) // 1000

    def hear(self, redis_now: int, answer: list[Any], now: int) -> None:
        """What counts in the fleet: target, number of the state, and when it was given, of each."""
        counts = {name: (FORCINGS[int(number)], now - (redis_now - int(given)) * 1000)
                  for name, number, given in zip(*(answer[at::3] for at in range(3)), strict=True)}
        for name, held in self.held.items():
            here, given = self.healths.forced(held.index)
            if held.given not in (-1, given) or (held.unheard and not held.sent):
                continue                    # it was said meanwhile
            held.unheard = held.sent = False
            if name in counts:
                self.adopt(name, held, *counts[name])
            else:                           # nobody knows of what holds here: it is said once more, as old as it is
                held.given, held.unheard = given, here != "auto" or 0 < given > now - DAY

    def adopt(self, name: str, held: Held, forced: str, given: int) -> None:
        """What counts for one target."""
        if forced != self.healths.forced(held.index)[0]:
            self.healths.force(held.index, forced, given)
            log.warning("circuit forced", extra={"facts": {
                "target": name, "state": forced, "by": "another host of the fleet"}})
        held.given = self.healths.forced(held.index)[1]

    def forget(self) -> None:
        """Redis may not have heard the last words."""
        for held in self.held.values():
            held.sent = False
