"""What part of a limit of concurrent requests a host may fill: in time, in number, and while it is lowered."""

from __future__ import annotations

import mmap
import time

import pytest

from edge._fast import Allotted, Places, Purses, Slab, monotonic
from tests.fast.processes import in_processes

SECOND = 1_000_000_000
INDEX = 7
SECONDS = 0.7


def allotted(most: int, part: int, now: int) -> Places:
    """A limit of which this host may fill a part for ten seconds."""
    slab = Slab(2)
    slab.set_concurrency(INDEX, most)
    places = Places(slab)
    places.hold(INDEX, Allotted(part, now + 10 * SECOND, 1, 1, now, 1, now + 10 * SECOND), most)
    return places


def test_no_more_than_allotted() -> None:
    """So many get a place, and the next one learns that the fleet may have more; with the end of the lease all do."""
    now = monotonic()
    places = allotted(10, 2, now)
    assert [places.take(worker, INDEX, now) for worker in (0, 1, 0)] == [True, True, None]
    assert places.crowd(INDEX) == (2, 1, 0, 0)
    places.give(1, INDEX)
    assert places.take(0, INDEX, now + 11 * SECOND) is None
    assert places.left(INDEX, now + 11 * SECOND) == 9


def test_nobody_asks_in_vain() -> None:
    """While the fleet is known to have none a request is refused at once; one that waits for a place of few goes on."""
    now = monotonic()
    places = allotted(10, 0, now)
    places.tell(INDEX, 0, now + SECOND, True)
    assert places.take(0, INDEX, now) is False
    assert places.take(0, INDEX, now, True) is None
    places.tell(INDEX, 0, now + SECOND, False)
    assert places.take(0, INDEX, now, True) is False
    assert places.take(0, INDEX, now + SECOND) is None
    assert places.left(INDEX, now) == 0


@pytest.mark.parametrize(("most", "part"), [(100, 60), (50, 30), (10, 6), (1, 0), (1000, 60)])
def test_a_number_that_is_lowered(most: int, part: int) -> None:
    """All hosts' parts shrink with their limit at once, before anybody has spoken of it; they do not grow with it."""
    now = monotonic()
    places = allotted(100, 60, now)
    places.slab.set_concurrency(INDEX, most)
    assert places.held(INDEX).places == part
    assert sum(bool(places.take(0, INDEX, now)) for _ in range(100)) == part


@pytest.mark.parametrize("most", [1, 2, 3, 10, 100])
def test_shares_are_the_limit(most: int) -> None:
    """What hosts have by themselves is together what the limit is, also where there are fewer places than hosts."""
    slab = Slab(1)
    found = []
    for rank in range(3):
        Purses(slab).set_fleet(hosts=3, rank=rank)
        found.append(Places(slab).share(most))
    assert sum(found) == most and max(found) - min(found) <= 1


def test_control_hears_of_a_free_place_once() -> None:
    """Where it is asked for, control is called when a place comes free, and not again until it has looked."""
    places = allotted(10, 3, now := monotonic())
    assert all(places.take(0, INDEX, now) for _ in range(3))
    assert not places.give(0, INDEX)
    places.tell(INDEX, 0, 0, True)
    assert [places.give(0, INDEX), places.give(0, INDEX)] == [True, False]
    assert Purses(places.slab).asking() == [INDEX]


def alone(number: int, hosts: list[Places], shared: mmap.mmap) -> int:
    """Adds 1 to a shared number as one may who is alone there; how often."""
    done, until, places = 0, time.monotonic() + SECONDS, hosts[number % 2]
    while time.monotonic() < until:
        if places.take(number // 2, INDEX, waits=True):
            value = int.from_bytes(shared[:8], "little")
            shared[:8] = (value + 1).to_bytes(8, "little")
            places.give(number // 2, INDEX)
            done += 1
    return done


def move(number: int, hosts: list[Places], shared: mmap.mmap) -> int:
    """Workers of two hosts; and control, which takes the one place from a host that does not use it, for the other."""
    if number < 4:
        return alone(number, hosts, shared)
    moved, until, at = 0, time.monotonic() + SECONDS, 0
    while time.monotonic() < until:
        one = Allotted(1, monotonic() + SECOND, 1, 1, 0, 1, 0)
        if hosts[at].hold(INDEX, one._replace(places=0), 1) == 0:
            at, moved = 1 - at, moved + 1
        hosts[at].hold(INDEX, one, 1)
    return moved


def test_a_place_that_moves_is_held_by_one() -> None:
    """Of workers that all want the one place no two ever have it, while control moves it between their hosts."""
    hosts, shared = [allotted(1, 0, 0), allotted(1, 0, 0)], mmap.mmap(-1, 8)
    *done, moved = in_processes(5, move, hosts, shared)
    assert sum(done) > 100 and moved > 10
    assert int.from_bytes(shared[:8], "little") == sum(done)
