"""Interleaved rounds: every case is measured once a round; ratios are taken between neighbours in time."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from .processes import cpu_seconds, machine_busy, own_seconds
from .targets import DIRECT, Target, Upstream

QUIET = 0.15                # of a core: what others may use before a run is made again
TRIES = 3


class Counted(Protocol):
    """What a load reports: `answers`, the requests or events that the cost is divided by."""

    @property
    def answers(self) -> int:
        """The divisor."""


Load = TypeVar("Load", bound=Counted)


@dataclass(frozen=True, slots=True)
class Sample(Generic[Load]):
    """One run: what the load saw, the target's CPU seconds, and the share of a core that others used."""

    load: Load
    cpu: float
    seconds: float
    others: float

    @property
    def cost(self) -> float:
        """CPU microseconds per request or event."""
        return self.cpu * 1e6 / max(1, self.load.answers)


@dataclass(frozen=True, slots=True)
class Case(Generic[Load]):
    """A target under one kind of load; `run` makes the load, checks included."""

    label: str
    target: Target
    run: Callable[[], Load]


@dataclass(frozen=True, slots=True)
class Ratio:
    """Median and range of the per-round ratios between two cases."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"


def spread(values: Sequence[float]) -> Ratio:
    """Median, minimum and maximum."""
    return Ratio(statistics.median(values), min(values), max(values))


def paired(case: Sequence[float], base: Sequence[float]) -> Ratio:
    """Ratios between the values of the same round: what slows a whole round cancels out."""
    return spread([mine / theirs for mine, theirs in zip(case, base, strict=True)])


def interleave(
        cases: Sequence[Case[Load]], upstream: Upstream, rounds: int) -> Mapping[str, list[Sample[Load]]]:
    """One discarded warm-up round, then `rounds` that count. A run that others disturbed is made again."""
    samples: dict[str, list[Sample[Load]]] = {case.label: [] for case in cases}
    for number in range(rounds + 1):
        print(f"round {number} of {rounds}", file=sys.stderr, flush=True)
        for case in cases:
            sample = measure(case, upstream)
            for _ in range(TRIES - 1):
                if number == 0 or sample.others < QUIET:
                    break
                sample = min(sample, measure(case, upstream), key=lambda taken: taken.others)
            if number:
                samples[case.label].append(sample)
    return samples


def measure(case: Case[Load], upstream: Upstream) -> Sample[Load]:
    """One run of one case, weighed."""
    def spent() -> tuple[float, float, float]:
        ours = own_seconds() + (0 if case.target.name == DIRECT else upstream.cpu())
        return cpu_seconds(case.target.pid), ours, machine_busy()

    target, ours, busy = spent()
    begun = time.monotonic()
    load = case.run()
    seconds = time.monotonic() - begun
    target, ours, busy = (after - before for after, before in zip(spent(), (target, ours, busy), strict=True))
    return Sample(load, target, seconds, max(0.0, busy - target - ours) / seconds)
