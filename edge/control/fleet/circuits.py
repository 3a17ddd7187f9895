"""Circuit breakers and resting provider keys over hosts: what this host has found is told, what others have is taken.

A breaker that opens here is open here at once; the others hear of it within half a second, and open theirs unless a
request of their own has just succeeded there and nobody else complains. Which probe may go out is lent by Redis: who
does not have it puts its own half-open state off, a second at a time, so that without Redis or control each host judges
for itself again. A generation fences what comes late.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from edge._fast import Healths, Sight
from edge.control.state import State
from edge.values.registry import named, places

PROBE = 3_000_000           # us that a probe is lent
TOLD = 60_000_000           # us that a closed breaker is told of
RECENT = 1_000_000_000      # ns: a success within them speaks against what another host says
SPARE = 2_500_000_000       # ns after which a probe that was lent is not begun: two looks and a call before its end
HELD = 1_000_000_000        # ns that half-open is put off at a time
OPEN, CLOSED = "open", "closed"

Word = tuple[str, str, int, int]


@dataclass(slots=True)
class Known:
    """A target, and what was heard and said of it."""

    index: int
    keys: tuple[str, ...]           # of its provider, as hosts call them between themselves
    generation: int = 0
    state: str = CLOSED             # of that generation, and in force here;
    due: int = 0                    # when its probe may go out, ns of this host's clock
    opened: int = -1                # how often it has opened here, as far as the others know; -1: they know nothing,
    said: int = -1                  # and with what was said last
    shut_out: int = 0
    probing: bool = False           # the fleet's probe is ours,
    lent: int = 0                   # since then at the latest,
    asked: int = 0                  # and when it was asked for last, if that is not answered yet
    rests: tuple[int, ...] = ()     # until when keys rest, as far as was said or heard


class Circuits:
    """Of one version of the configuration."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.known: dict[str, Known] = {}

    def load(self, state: State) -> None:
        """Another version."""
        self.healths, self.enabled = Healths(state.slab), state.snapshot.breaker.enabled
        keys = {provider.name: tuple(blake2b(key.reveal().encode(), digest_size=8).hexdigest()
                                     for key in provider.keys) for provider in state.snapshot.providers}
        known = {}
        for place in dict.fromkeys(places(state.snapshot)):
            name, index = named(place), state.registry.target(*place)
            before = self.known.get(name)
            same = before is not None and (before.index, before.keys) == (index, keys[place[0]])
            known[name] = before if before is not None and same else Known(index, keys[place[0]])
        self.known = known

    def words(self, now: int) -> list[Word]:
        """All that the others should hear."""
        found: list[Word] = []
        for name, known in self.known.items():
            sight = self.healths.sight(known.index, len(known.keys))
            if self.enabled:
                found += self.of_breaker(name, known, sight, now)
            found += self.of_keys(name, known, sight, now)
        return found

    def of_breaker(self, name: str, known: Known, sight: Sight, now: int) -> Iterator[Word]:
        """It has opened here, has closed here, or a probe is due that requests here want."""
        opened, known.said = sight.opened > known.opened, sight.opened
        wanted, known.shut_out = sight.shut_out > known.shut_out, sight.shut_out
        if opened and sight.open_until > now:
            known.probing = False
            yield OPEN, name, (sight.open_until - now) // 1000, known.generation
        elif known.state == OPEN and not sight.open_until:
            yield "close", name, 0, known.generation
        elif known.state == OPEN and now >= known.due and (self.probes(known, sight, now) or wanted):
            known.asked = now
            yield "probe", name, 0, known.generation

    def probes(self, known: Known, sight: Sight, now: int) -> bool:
        """Whether our probe is on its way. One that no request has wanted is laid down before it is another host's."""
        if known.probing and sight.probe <= now and now >= known.lent + SPARE:
            self.healths.put_off(known.index, now + HELD)
            sight = self.healths.sight(known.index, 0)      # a request may have been quicker
            known.probing = sight.probe > now
        return known.probing and sight.probe > now

    @staticmethod
    def of_keys(name: str, known: Known, sight: Sight, now: int) -> Iterator[Word]:
        """Keys that rest, and longer than the others know."""
        said = known.rests or (0,) * len(known.keys)
        for key, until, before, reason in zip(known.keys, sight.benches, said, sight.reasons, strict=False):
            if until > now and until > before + RECENT // 10:
                yield "rest", f"{name}#{key}", (until - now) // 1000, reason
        known.rests = tuple(max(pair) for pair in zip(said, sight.benches, strict=False))

    def hear(self, answer: Any, now: int) -> None:
        """What all have found."""
        (redis_now, *circuits), rests = answer[:2]
        heard = set()
        for known in self.known.values():
            known.opened, known.lent, known.asked = known.said, known.asked or known.lent, 0
        for name, generation, state, until, voters, prober in zip(*(circuits[at::6] for at in range(6)), strict=True):
            heard.add(name)
            target = self.known.get(name)
            if target is not None and self.enabled:
                due = now + (int(until) - int(redis_now)) * 1000
                self.heard(target, (int(generation), state, due), voters.strip(",").split(","), prober, now)
        for name, each in self.known.items():
            if name not in heard:
                each.generation = 0
                self.unheard(each, now)
        for key, until, condition in zip(*(rests[at::3] for at in range(3)), strict=True):
            name, _, digest = key.rpartition("#")
            target = self.known.get(name)
            if target is not None and digest in target.keys:
                self.rest(target, target.keys.index(digest), now + (int(until) - int(redis_now)) * 1000, int(condition))

    def unheard(self, known: Known, now: int) -> None:
        """Nobody calls it open. Where it is so here that is said once more, and its probe waits until it was heard."""
        known.state, known.probing = CLOSED, False
        until = self.healths.sight(known.index, 0).open_until
        if until:
            known.opened = known.said = -1
            self.healths.put_off(known.index, max(until, now + HELD))

    def heard(self, known: Known, said: tuple[int, str, int], voters: list[str], prober: str, now: int) -> None:
        """One breaker."""
        generation, state, due = said
        news, known.generation = generation != known.generation, generation
        if state == CLOSED:
            if news:
                self.healths.close(known.index, now)
            self.unheard(known, now)
            return
        ours = self.host in voters
        if known.state != OPEN or news:
            sight = self.healths.sight(known.index, 0)
            if not ours and len(voters) < 2 and now - sight.good_at < RECENT and not sight.open_until:
                known.state = CLOSED        # what is said of it is not what is seen here
                return
            if not ours:
                self.healths.open(known.index, due + HELD, now)
        known.state, known.due = OPEN, due
        probing = known.probing
        known.probing = prober == self.host and (probing or now < known.lent + SPARE)
        if known.probing and not probing:
            self.healths.put_off(known.index, now - 1)
        elif not known.probing:
            self.healths.put_off(known.index, max(due, now) + HELD)

    def rest(self, known: Known, number: int, until: int, condition: int) -> None:
        """One provider key."""
        before = self.healths.sight(known.index, len(known.keys)).benches[number]
        if until > before + RECENT // 10:
            self.healths.bench(known.index, number, until, condition)
        rests = list(known.rests or (0,) * len(known.keys))
        rests[number] = max(rests[number], until)
        known.rests = tuple(rests)

    def forget(self) -> None:
        """Redis may not have heard the last words: those of keys are said anew, as openings are until one answers."""
        for known in self.known.values():
            known.rests, known.asked = (), 0
