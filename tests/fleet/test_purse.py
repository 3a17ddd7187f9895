"""A host's purse: what is reserved of it counts until it is settled or forgotten, and an old answer is not for it."""

from __future__ import annotations

import random

import pytest

from edge._fast import Purses, Slab, monotonic
from edge.control.fleet.limits import Limits, Shared
from tests.fleet import level, lives

SECOND = 1_000_000_000
INDEX = 3


@pytest.fixture
def purses() -> Purses:
    """Of a limit of 100, one a second, of which this host holds 50."""
    slab = Slab(1)
    slab.set_bucket(INDEX, 1.0, 100)
    purses = Purses(slab)
    fill(purses, 50, monotonic())
    return purses


def fill(purses: Purses, units: int, now: int) -> None:
    """Redis has lent so many."""
    held = purses.held(INDEX)
    assert purses.hold(INDEX, held, held._replace(units=units, expires=now + 10 * SECOND))


def asking(purses: Purses, now: int) -> tuple[Limits, Shared]:
    """The limit, of which this host holds nothing and wants something."""
    limits = Limits(purses, SECOND)
    shared = limits.active[INDEX] = Shared(INDEX, "key:test", SECOND, 100, wanted_at=now)
    held = purses.held(INDEX)
    assert purses.hold(INDEX, held, held._replace(units=0))
    assert purses.take(INDEX, 1, now) == -1
    return limits, shared


def test_what_is_forgotten_is_not_settled_twice(purses: Purses) -> None:
    """The end of a request whose reservation has lapsed leaves those of later requests counted."""
    now = monotonic()
    assert purses.take(INDEX, 20, now) == 0
    purses.lapse(INDEX, purses.held(INDEX), now + SECOND)
    fill(purses, 50, now)
    assert purses.take(INDEX, 20, now + 2 * SECOND) == 0
    purses.settle(INDEX, 20, 0, now, now + 3 * SECOND)
    assert (purses.held(INDEX).units, purses.held(INDEX).reserved) == (30, 20)
    purses.settle(INDEX, 20, 0, now + 2 * SECOND, now + 4 * SECOND)
    assert (purses.held(INDEX).units, purses.held(INDEX).reserved) == (50, 0)


def test_a_late_clock_reserves_nothing(purses: Purses) -> None:
    """Who took its time before reservations were forgotten looks again, lest its own be never given back."""
    now = monotonic()
    purses.forget(INDEX, now)
    assert purses.take(INDEX, 20, now - 1) == -1
    assert (purses.held(INDEX).units, purses.held(INDEX).reserved) == (50, 0)
    assert purses.take(INDEX, 20, now) == 0


@pytest.mark.parametrize("answer", [f"0 {-10**13} {SECOND} 100 1", "-2 WRONGTYPE"])
def test_an_answer_for_who_is_gone(purses: Purses, answer: str) -> None:
    """What is said of a limit that a reload has taken away is not said of the one that has its index now."""
    limits, now = Limits(purses, SECOND // 20), monotonic()
    gone = Shared(INDEX, "key:gone", SECOND, 100, asked=True, alone=7)
    limits.active[INDEX] = Shared(INDEX, "key:new", SECOND, 100)
    before = purses.left(INDEX, now)
    limits.hear(gone, 1, 1, answer, now)
    limits.fail(gone, "", now)
    assert purses.left(INDEX, now) == before
    assert purses.said(INDEX, now).alone == 0
    assert purses.take(INDEX, 80, now) == -1        # the fleet may have them: nobody has said otherwise


def test_an_answer_does_not_revive_what_has_lapsed(purses: Purses) -> None:
    """What was reserved when the lease ran out is forgotten before new units come, and does not come back to them."""
    limits, now = Limits(purses, SECOND // 20), monotonic()
    shared = limits.active[INDEX] = Shared(INDEX, "key:test", SECOND, 100, asked=True, wanted=10)
    assert purses.take(INDEX, 20, now) == 0
    held = purses.held(INDEX)
    assert purses.hold(INDEX, held, held._replace(expires=now + 10, sent=now, seq=5))
    limits.hear(shared, 1, 5, f"10 0 {SECOND} 100 1", now + 20)
    assert (purses.held(INDEX).units, purses.held(INDEX).reserved) == (10, 0)
    purses.settle(INDEX, 20, 0, now, now + 30)
    assert purses.held(INDEX).units == 10


def test_a_long_wait_is_asked_for_anew(purses: Purses) -> None:
    """Who is refused for long has Redis asked once a second: another host may have given back, or there is more now."""
    now = monotonic()
    held = purses.held(INDEX)
    assert purses.hold(INDEX, held, held._replace(units=0, sent=now))
    purses.tell(INDEX, now + 60 * SECOND, 0)
    assert purses.take(INDEX, 1, now + SECOND // 2) > 0
    assert purses.asking() == []
    assert purses.take(INDEX, 1, now + 2 * SECOND) > 0
    assert purses.asking() == [INDEX]


def drawn(purses: Purses, limits: Limits, shared: Shared, now: int) -> int:
    """One exchange with a fleet that has plenty: how many units it was."""
    shared.asked, said = False, limits.say(shared, now)
    assert said is not None
    limits.hear(shared, 1, said[2], f"{said[8]} {80 * SECOND} {SECOND} 100 1", now)
    return said[8]


def test_what_is_seldom_wanted_is_kept(purses: Purses) -> None:
    """Where there is plenty a host keeps some units while it lives, with no word of them, and asks before they end."""
    now = monotonic()
    limits, shared = asking(purses, now)
    assert drawn(purses, limits, shared, now) > 1
    for moment in range(1, 5):
        limits.renew(0, 1, now + moment * SECOND // 2, now + moment * SECOND // 2)
        assert purses.due([INDEX], now + moment * SECOND // 2) == []
    assert purses.take(INDEX, 2, now + 2 * SECOND) == 0
    assert purses.due([INDEX], now + 2 * SECOND) == [INDEX]
    assert drawn(purses, limits, shared, now + 2 * SECOND) > 0
    assert purses.take(INDEX, 1, now + 2 * SECOND) == 0


def test_what_nobody_wants_any_more_lapses(purses: Purses) -> None:
    """What is left of a purse after a lease without requests costs no exchange, and then the limit is out of use."""
    now = monotonic()
    limits, shared = asking(purses, now)
    drawn(purses, limits, shared, now)
    for moment in range(1, 20):
        limits.renew(0, 1, now + moment * SECOND // 2, now + moment * SECOND // 2)
    assert purses.due([INDEX], now + 19 * SECOND // 2) == [INDEX]
    assert limits.say(shared, now + 19 * SECOND // 2) is None
    assert purses.held(INDEX).units > 0
    assert purses.due([INDEX], now + 10 * SECOND) == [INDEX]
    assert limits.say(shared, now + 10 * SECOND) is None
    assert purses.held(INDEX).units == 0
    assert INDEX not in limits.active


def test_another_life_does_not_lengthen_what_was_drawn_in_the_last_one(purses: Purses) -> None:
    """Redis may have counted this host as dead: what it has is spent or runs out, and then there is more."""
    now = monotonic()
    limits, shared = asking(purses, now)
    drawn(purses, limits, shared, now)
    limits.renew(0, 2, now + SECOND // 2, now + SECOND // 2)
    assert purses.held(INDEX).expires == now + SECOND
    limits.renew(0, 1, now + SECOND, now + SECOND)
    assert purses.held(INDEX).expires == now + SECOND


@pytest.mark.parametrize("seed", range(20))
def test_what_is_taken_without_redis_is_told_to_the_unit(seed: int) -> None:
    """Whatever requests reserve without Redis and use in truth, in the end the level has less by what was used, also
    where words and answers are lost, but for what these give back, and never more than the limit lets through."""
    rng, slab, now = random.Random(seed), Slab(1), monotonic()
    slab.set_bucket(INDEX, 1.0, 1000)
    purses, numbers = Purses(slab), level.Numbers(SECOND, 1000)
    limits, told = Limits(purses, SECOND // 20), 1_800_000_000_000_000
    alive, life = lives.live({}, "host", told)
    kept: level.Level | None = level.Level(600 * SECOND, told, told, numbers, level.Numbers(told, told))
    shared = limits.active[INDEX] = Shared(INDEX, "key:test", SECOND, 1000, wanted_at=now)
    reserved: list[int] = []
    used = dropped = 0

    def speak(lost: int) -> None:
        """A message: it is lost, or its answer is."""
        nonlocal kept, dropped
        if (said := limits.say(shared, now)) is None:
            limits.active[INDEX] = shared
        elif lost == 1:
            limits.fail(shared, "", now)
            dropped += said[6]
        else:
            message = level.Message(numbers, *said[2:])
            kept, answer = level.speak(kept, told, alive, "host", message, told)
            assert kept.credit + sum(lease.held for lease in kept.leases.values()) * SECOND <= 1000 * SECOND
            if lost:
                limits.fail(shared, "", now)
            else:
                limits.hear(shared, life, said[2], " ".join(map(str, answer)), now)
    for _ in range(100):
        event = rng.random()
        if event < 0.4 and len(reserved) < 10:
            cost = rng.randint(1, 20)
            if purses.take_alone(INDEX, cost, now) == 0:
                reserved.append(cost)
        elif event < 0.7 and reserved:
            cost = reserved.pop(rng.randrange(len(reserved)))
            used += (spent := rng.choice([0, cost // 2, cost, 2 * cost]))
            purses.settle_alone(INDEX, cost, spent, now)
        else:
            speak(rng.choice([0, 0, 1, 2]))
    speak(0)                                    # they are known to be lent before they are not
    for cost in reserved:
        purses.settle_alone(INDEX, cost, 0, now)
    for _ in range(4):
        speak(0)
    held = purses.held(INDEX)
    assert (held.lent, purses.said(INDEX, now).alone) == (0, 0)
    assert (600 - used - dropped) * SECOND <= kept.credit <= (600 - used) * SECOND
    assert held.units == 0
