"""Breakers, benched keys and the retry budget: as a slow and obvious model has them, over any number of processes."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge._fast import MAX_TARGETS, RELAYED, Condition, Healths, Slab
from edge.values.snapshot import Breaker
from tests.fast.processes import FORK, in_processes

SECOND = 1_000_000_000
BEGAN = 10**15
WORKERS = 3
TURNS = 300
QUICK = Breaker(failures=1, open_time=1, max_open_time=8, ramp=2)


@dataclass
class Attempt:
    """One that has not ended."""

    worker: int
    sent: int
    probe: bool


@dataclass
class SlowBreaker:
    """A target as one process would keep it that sees everything."""

    rules: Breaker
    state: str = "closed"               # or open
    until: int = 0
    opened_at: int = 0
    closed_at: int | None = None        # since when it returns
    trips: int = 0
    row: int = 0
    asked: int = 0
    window: tuple[int, int, int] | None = None      # since when, asked before, failed since
    forced: str = "auto"
    ailing: bool = False
    attempts: list[Attempt] = field(default_factory=list)

    def ns(self, name: str) -> int:
        """A time of the rules."""
        return int(getattr(self.rules, name) * SECOND)

    def seen(self, now: int) -> str:
        """The state that metrics show."""
        if self.forced != "auto":
            return self.forced
        if self.ailing:
            return "open"
        return self.state if self.state == "closed" or now < self.until else "half-open"

    def ask(self, worker: int, now: int) -> str:
        """What a request meets."""
        seen = self.seen(now)
        if seen == "open" or (seen == "half-open" and any(attempt.probe for attempt in self.attempts)):
            return "shut"
        self.asked += 1
        self.attempts.append(Attempt(worker, now, seen == "half-open"))
        if seen == "half-open":
            return "probe"
        return "returning" if self.forced == "auto" and self.closed_at is not None else "fit"

    def succeed(self, now: int, sent: int) -> bool:
        """Whether it closes."""
        self.row = 0
        if self.state == "closed":
            if self.closed_at is not None and now - self.closed_at > self.ns("ramp"):
                self.closed_at, self.trips = None, 0
            return False
        if sent <= self.opened_at:
            return False
        self.state, self.closed_at, self.window = "closed", now, None
        return True

    def fail(self, now: int, sent: int) -> bool:
        """Whether it opens; for how long is chance, and told by `opened`."""
        if not self.rules.enabled:
            self.state = "closed"
            return False
        if self.state == "open":
            return now >= self.until and sent > self.opened_at
        self.row += 1
        since, before, failed = self.window or (0, 0, 0)
        if now - since > self.ns("window"):
            since, before, failed = now, self.asked - 1, 0
        failed += 1
        self.window = since, before, failed
        asked = self.asked - before
        return self.row >= self.rules.failures or (
            asked >= self.rules.minimum and failed >= self.rules.failure_rate * asked)

    def opened(self, now: int, span: float) -> None:
        """It opens for that long."""
        wanted = min(self.rules.open_time * 2**self.trips, self.rules.max_open_time)
        assert 0.75 * wanted - 1e-6 <= span <= 1.25 * wanted + 1e-6
        self.state, self.until, self.opened_at = "open", now + round(span * SECOND), now
        self.trips += 1
        self.row, self.window, self.closed_at = 0, None, None


breakers = st.builds(
    Breaker, enabled=st.sampled_from([True, True, True, False]), failures=st.integers(1, 4),
    failure_rate=st.sampled_from([0.3, 0.5, 1.0]), minimum=st.integers(1, 6), window=st.sampled_from([1.0, 3.0, 20.0]),
    open_time=st.sampled_from([0.5, 2.0]), max_open_time=st.sampled_from([2.0, 6.0]), ramp=st.sampled_from([0.0, 4.0]))
numbers = st.integers(0, 2**64 - 1)
steps = st.lists(st.one_of(
    st.tuples(st.just("ask"), numbers),
    st.tuples(st.just("ask"), numbers),
    st.tuples(st.just("succeed"), numbers),
    st.tuples(st.sampled_from(["fail", "fail", "press on"]), numbers),
    st.tuples(st.just("wait"), st.sampled_from([1, SECOND // 10, SECOND, 2 * SECOND, 3 * SECOND, 8 * SECOND])),
    st.tuples(st.just("wait"), st.sampled_from([1, SECOND // 10, SECOND, 2 * SECOND, 3 * SECOND, 8 * SECOND])),
    st.tuples(st.sampled_from(["open", "auto", "closed", "ail", "mend", "die", "heal", "rules"]), numbers)),
    max_size=80)


class Pair:
    """The breaker and the model of it, through the same life."""

    def __init__(self, rules: Breaker) -> None:
        self.slab = Slab(WORKERS)
        for worker in range(WORKERS):
            self.slab.beat(worker, {})
        self.healths = Healths(self.slab)
        self.model = SlowBreaker(rules)
        self.now = BEGAN

    def step(self, what: str, number: int) -> None:
        """One thing happens to both."""
        model, healths = self.model, self.healths
        if what == "wait":
            self.now += number
            if any(attempt.probe for attempt in model.attempts):
                self.end(next(i for i, attempt in enumerate(model.attempts) if attempt.probe), None, 0)
        elif what == "ask":
            assert healths.ask(7, number % WORKERS, self.now) == model.ask(number % WORKERS, self.now)
        elif what == "press on":        # at an open target, because there is no other
            model.attempts.append(Attempt(number % WORKERS, self.now, False))
        elif what in ("succeed", "fail"):
            if model.attempts:
                self.end(number % len(model.attempts), what == "succeed", number)
        elif what in ("open", "auto", "closed"):
            healths.force(7, what)
            model.forced = what
        elif what in ("ail", "mend"):
            healths.ail(7, what == "ail")
            model.ailing = what == "ail"
        elif what == "die":
            self.slab.worker_died(number % WORKERS)
            model.attempts = [attempt for attempt in model.attempts if attempt.worker != number % WORKERS]
        elif what == "heal":
            healths.heal(7)
            model.state, model.closed_at, model.row, model.trips, model.window = "closed", None, 0, 0, None
        else:
            model.rules = replace(model.rules, enabled=not model.rules.enabled)

    def end(self, index: int, good: bool | None, random: int) -> None:
        """An attempt ends: well, badly, or without a verdict."""
        model, attempt = self.model, self.model.attempts.pop(index)
        if good is not None:
            told = self.healths.tell(7, good, model.rules, self.now, attempt.sent, random)
            assert told == (model.succeed if good else model.fail)(self.now, attempt.sent)
            if told and not good:
                model.opened(self.now, self.healths.total(7, now=self.now).open_for)
        if attempt.probe:
            self.healths.end_probe(7)


@settings(max_examples=300)
@given(breakers, steps)
def test_breaker_agrees_with_the_model(rules: Breaker, life: list[tuple[str, int]]) -> None:
    """Through any life a breaker opens, lets a probe out, closes, returns and grows its times as the model does."""
    pair = Pair(rules)
    opened = probes = 0
    for what, number in life:
        before = pair.model.trips, pair.model.until
        asked = [attempt.probe for attempt in pair.model.attempts]
        pair.step(what, number)
        opened += pair.model.until != before[1]
        probes += what == "ask" and sum(attempt.probe for attempt in pair.model.attempts) > sum(asked)
        total = pair.healths.total(7, now=pair.now)
        assert (total.state, total.forced, total.ailing) == (
            pair.model.seen(pair.now), pair.model.forced, pair.model.ailing)
        assert (total.failures, total.opened, total.probes) == (pair.model.row, opened, probes)
        left = max(pair.model.until - pair.now, 0) / SECOND if pair.model.state == "open" else 0
        assert total.open_for == pytest.approx(left)
    assert pair.healths.total(6, now=pair.now) == pair.healths.total(8, now=pair.now)


def test_what_was_sent_before_an_opening_says_nothing_of_it() -> None:
    """Answers to earlier requests, good or bad, leave an open or half-open breaker as it is; a later one closes it."""
    healths, rules = Healths(Slab(1)), QUICK
    assert healths.tell(0, False, rules, BEGAN, BEGAN - 5)
    for now, state in ((BEGAN + 1, "open"), (BEGAN + 2 * SECOND, "half-open")):
        for good in (True, False):
            assert not healths.tell(0, good, rules, now, BEGAN)
            assert healths.total(0, now=now).state == state
    assert healths.tell(0, True, rules, BEGAN + 3, BEGAN + 1)
    assert healths.total(0, now=BEGAN + 3).state == "closed"


@pytest.mark.parametrize(("random", "share"), [(0, 0.75), (2**64 - 1, None)])
def test_open_time_doubles_up_to_its_ceiling(random: int, share: float | None) -> None:
    """Each failed probe doubles the open time, up to the longest, give or take a quarter."""
    healths, now, spans = Healths(Slab(1)), BEGAN, []
    for _ in range(6):
        assert healths.ask(0, 0, now) in ("fit", "probe")
        assert healths.tell(0, False, QUICK, now, now, random)
        healths.end_probe(0)
        spans.append(healths.total(0, now=now).open_for)
        now += round(spans[-1] * SECOND) + 1
    for span, wanted in zip(spans, (1, 2, 4, 8, 8, 8), strict=True):
        assert 0.75 * wanted <= span <= 1.25 * wanted
        assert share is None or span == pytest.approx(share * wanted)


def test_open_time_begins_anew_once_the_target_is_fully_back() -> None:
    """A success after the ramp makes the next opening as short as the first; one before it does not."""
    healths, now = Healths(Slab(1)), BEGAN
    for wait, expected in ((3, 0.75), (1, 0.75), (3, 1.5), (3, 0.75)):
        healths.tell(0, False, QUICK, now, now)
        assert healths.total(0, now=now).open_for == expected
        now += 2 * SECOND
        assert healths.ask(0, 0, now) == "probe"
        assert healths.tell(0, True, QUICK, now, now)
        healths.end_probe(0)
        assert healths.ask(0, 0, now) == "returning"
        now += wait * SECOND
        healths.tell(0, True, QUICK, now, now)


def test_longest_times_do_not_overflow() -> None:
    """Times of a day, doubled as often as one likes, stay at their ceiling."""
    healths, now = Healths(Slab(1)), BEGAN
    rules = replace(QUICK, open_time=86400, max_open_time=86400)
    for _ in range(80):
        assert healths.tell(0, False, rules, now, now)
        assert healths.total(0, now=now).open_for == 64800
        now += 86400 * SECOND


# Over processes

def race(number: int, slab: Slab, now: int) -> int:
    """Probe a half-open target so many times; the most probes that were out at once."""
    healths, probes, most = Healths(slab), 0, 0
    while probes < TURNS:
        if healths.ask(0, number, now) == "probe":
            slab.enter(number, 2)
            probes += 1
            most = max(most, slab.series_total(2).in_flight)
            slab.enter(number, 2, -1)
            healths.end_probe(0)
    return most


def test_one_probe_over_all_processes() -> None:
    """Of processes that race for a half-open target's probe exactly one has it at any time, and each gets turns."""
    slab = Slab(4)
    healths = Healths(slab)
    healths.tell(0, False, QUICK, BEGAN, BEGAN)
    assert healths.ask(0, 0, BEGAN) == "shut"
    assert in_processes(4, race, slab, BEGAN + 2 * SECOND) == [1, 1, 1, 1]
    assert healths.total(0, now=BEGAN).probes == 4 * TURNS


def claim(number: int, slab: Slab, now: int) -> int:
    """Ask one target after the other, each at the same moment as the other process; how many probes that gave."""
    healths, probes = Healths(slab), 0
    for target in range(TURNS):
        slab.beat(number, {"accepted": 1})
        while slab.worker_total(1 - number).accepted <= target:
            pass
        probes += healths.ask(target, number, now) == "probe"
    return probes


def test_each_probe_is_had_once() -> None:
    """Of two processes that ask a half-open target at the same moment exactly one gets its probe."""
    slab = Slab(2)
    for target in range(TURNS):
        Healths(slab).tell(target, False, QUICK, BEGAN, BEGAN)
    assert sum(in_processes(2, claim, slab, BEGAN + 2 * SECOND)) == TURNS


def trip(number: int, slab: Slab, count: int) -> int:
    """Fail at once in each of many rounds; how often that opened the target of the round."""
    healths = Healths(slab)
    return sum(healths.tell(target, False, QUICK, BEGAN, BEGAN, number) for target in range(count))


def test_one_opening_over_all_processes() -> None:
    """Failures that meet in several processes open a target once, and one of them is told so."""
    slab = Slab(3)
    assert sum(in_processes(3, trip, slab, 1000)) == 1000
    assert {Healths(slab).total(target, now=BEGAN).opened for target in range(1000)} == {1}


def probe_until_killed(number: int, slab: Slab, now: int, said: Connection) -> None:
    """A worker that takes the probe and never comes to its end."""
    slab.beat(number, {})
    said.send(Healths(slab).ask(0, number, now))
    signal.pause()


def test_dead_workers_probe_is_free_again() -> None:
    """The probe of a killed worker can be had once it is buried, and nobody else's death frees it."""
    slab, now = Slab(3), BEGAN + 2 * SECOND
    healths = Healths(slab)
    healths.tell(0, False, QUICK, BEGAN, BEGAN)
    ours, theirs = FORK.Pipe(duplex=False)
    process = FORK.Process(target=probe_until_killed, args=(1, slab, now, theirs), daemon=True)
    process.start()
    assert ours.recv() == "probe"
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join(30)
    for other in (0, 2):
        slab.beat(other, {})
        assert healths.ask(0, other, now) == "shut"
        slab.worker_died(other)
    assert healths.ask(0, 0, now) == "shut"
    slab.worker_died(1)
    assert [healths.ask(0, 0, now), healths.ask(0, 1, now)] == ["probe", "shut"]
    slab.worker_died(1)
    assert healths.ask(0, 1, now) == "shut"


@pytest.mark.parametrize("same", [True, False])
def test_a_probe_is_dropped_by_its_owner_alone(same: bool) -> None:
    """Who ends late, when the probe was given up and taken anew, drops nobody else's; of one worker or of two."""
    slab = Slab(2)
    late, owner = Healths(slab), Healths(slab)
    late.tell(0, False, QUICK, BEGAN, BEGAN)
    now = BEGAN + 2 * SECOND
    assert late.ask(0, 0, now) == "probe"
    now += 11 * SECOND                      # it is given up
    second = 0 if same else 1
    assert owner.ask(0, second, now) == "probe"
    late.end_probe(0)
    assert late.ask(0, 0, now + 1) == "shut"
    owner.end_probe(0)
    assert late.ask(0, 0, now + 2) == "probe"


# Keys

@given(st.integers(1, 8), st.lists(st.tuples(
    st.sampled_from(["bench", "bench", "wait", "forgive"]), st.integers(0, 7), st.integers(1, 9)), max_size=30))
def test_keys_rest_as_in_the_model(keys: int, life: list[tuple[str, int, int]]) -> None:
    """The next key is the first in turn that does not rest; a longer rest stands, forgiving ends them all, and
    where all rest the one that is back first says why."""
    healths, now, rests, whys = Healths(Slab(1)), BEGAN, [0] * keys, [0] * keys
    for what, number, seconds in life:
        if what == "bench":
            healths.bench(3, number % keys, now + seconds * SECOND, seconds)
            if now + seconds * SECOND > rests[number % keys]:
                whys[number % keys] = seconds
            rests[number % keys] = max(rests[number % keys], now + seconds * SECOND)
        elif what == "wait":
            now += seconds * SECOND // 2
        else:
            healths.forgive(3)
            rests = [0] * keys
        for first in range(keys):
            turns = [(first + i) % keys for i in range(keys)]
            assert healths.key(3, keys, first, now) == next((key for key in turns if rests[key] <= now), -1)
        if min(rests) > now:
            assert healths.why_benched(3, keys) == whys[rests.index(min(rests))]
        assert healths.total(3, keys, now).benched == [max(rest - now, 0) / SECOND for rest in rests]


# The budget

@given(st.sampled_from([0.0, 0.1, 0.5]), st.lists(st.tuples(
    st.sampled_from(["admit", "end", "retry", "wait"]), st.integers(0, 1), st.integers(1, 40)), max_size=60))
def test_budget_agrees_with_the_model(share: float, life: list[tuple[str, int, int]]) -> None:
    """Further attempts keep within a share of the requests under way and of the window's; three always may be."""
    slab, now = Slab(2), BEGAN
    healths = Healths(slab)
    in_flight, retrying = [0, 0], [0, 0]
    admitted = retries = 0
    window: tuple[int, int, int] | None = None
    for what, worker, number in life:
        if what == "admit":
            slab.beat(worker, {"admitted": number, "in_flight": number})
            in_flight[worker] += number
            admitted += number
        elif what == "end":
            slab.beat(worker, {"in_flight": -in_flight[worker], "retrying": -retrying[worker]})
            in_flight[worker] = retrying[worker] = 0
        elif what == "wait":
            now += number * SECOND // 4
        if window is None or now - window[0] > 10 * SECOND:
            window = now, admitted, retries
        fits = (sum(retrying) < max(3, share * sum(in_flight))
                and retries - window[2] + 1 <= max(3, share * (admitted - window[1])))
        assert healths.may_retry(now, share) == fits
        if what == "retry" and fits:
            slab.beat(worker, {"retrying": 1, "retries": 1})
            retrying[worker] += 1
            retries += 1


def test_dead_workers_attempts_leave_the_budget() -> None:
    """What a killed worker had under way takes no share of the budget any more."""
    slab = Slab(2)
    slab.beat(1, {"in_flight": 3, "retrying": 3})
    assert not Healths(slab).may_retry(BEGAN, 0.1)
    slab.worker_died(1)
    assert Healths(slab).may_retry(BEGAN, 0.1)


# What metrics are made of

def test_failures_and_misses_are_counted_by_target() -> None:
    """Each failed attempt counts under its condition, and each request that passed a target by, at that target."""
    healths = Healths(Slab(1))
    for condition in (Condition.provider_error, Condition.provider_error, Condition.provider_cut):
        healths.count(2, condition)
    healths.miss(2)
    total = healths.total(2)
    assert {Condition(i).name: n for i, n in enumerate(total.failed) if n} == {"provider_error": 2, "provider_cut": 1}
    assert (total.shut_out, healths.total(1).shut_out, sum(healths.total(3).failed)) == (1, 0, 0)


def test_arguments_are_checked() -> None:
    """A target outside of the slab is an IndexError, an unknown word of an operator's a ValueError."""
    healths = Healths(Slab(1))
    for target in (-1, MAX_TARGETS):
        for call in (healths.total, healths.forgive, healths.heal, healths.end_probe, healths.miss):
            with pytest.raises(IndexError):
                call(target)
    with pytest.raises(IndexError):
        healths.count(0, RELAYED)
    with pytest.raises(ValueError, match="shut"):
        healths.force(0, "shut")
