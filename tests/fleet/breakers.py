"""The Redis side of shared circuit breakers as a pure function; circuits.lua is the same on a server. Times in us.

An opening that finds the breaker open adds a voter; one that knows that generation and finds its time gone by and no
probe lent is a new generation, and so is that of the prober itself: its probe has failed. What is said of another
generation than the one in force changes nothing, but that an opening counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

PROBE = 3_000_000
TOLD = 60_000_000
REMEMBERED = 86_400_000_000


@dataclass(frozen=True)
class Breaker:
    """One target's. `lease` is until when `prober` has the probe."""

    generation: int = 0
    state: str = "closed"
    since: int = 0
    until: int = 0
    prober: str = "-"
    lease: int = 0
    voters: str = ","

    def stored(self) -> str:
        """As the server holds it."""
        return " ".join(str(value) for value in vars(self).values())


def hear(breaker: Breaker, host: str, word: tuple[str, int, int], now: int) -> Breaker:
    """One word of a host: (what, us that it stays open, generation that is known)."""
    what, span, known = word
    is_open, current = breaker.state == "open", known == breaker.generation
    lent = breaker.lease > now
    failed = current and lent and breaker.prober == host
    if what == "open" and is_open and not failed and (breaker.until > now or lent or known < breaker.generation):
        voters = breaker.voters if f",{host}," in breaker.voters else f"{breaker.voters}{host},"
        return replace(breaker, until=max(breaker.until, now + span), voters=voters)
    if what == "open":
        return Breaker(breaker.generation + 1, "open", now, now + span, voters=f",{host},")
    if what == "close" and is_open and current:
        return Breaker(breaker.generation + 1, "closed", now, now, voters=f",{host},")
    if what == "probe" and is_open and current and breaker.until <= now and (
            breaker.prober == host or breaker.lease <= now):
        return replace(breaker, prober=host, lease=now + PROBE)
    return breaker


def told(breakers: dict[str, Breaker], now: int) -> dict[str, Breaker]:
    """Those that hosts hear of; the others are gone."""
    return {name: each for name, each in breakers.items()
            if each.generation and not (each.state == "closed" and each.since + TOLD <= now)}


Orders = dict[str, tuple[int, int]]


def order(orders: Orders, target: str, word: tuple[int, int], now: int) -> Orders:
    """An operator's word on a target: (number of the state, us since it was given). The last one counts."""
    number, age = word
    known = orders.get(target, (0, 0))
    return {**orders, target: (number, now - age)} if now - age >= known[1] else orders


def remembered(orders: Orders, now: int) -> Orders:
    """Those that hosts hear of: one that was taken back for a day."""
    return {target: each for target, each in orders.items() if each[0] or each[1] + REMEMBERED > now}
