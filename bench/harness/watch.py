"""What a gateway says of itself while it runs: /metrics, once a second, each beside the one before."""

from __future__ import annotations

import contextlib
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import pairwise

LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.M)
LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(slots=True)
class Sample:
    """One look. All but memory has been counted since the gateway's start."""

    at: float
    conditions: Counter[str] = field(default_factory=Counter)
    share: Counter[float] = field(default_factory=Counter)      # requests whose own share was at most these seconds
    share_sum: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)         # seconds, by process
    memory: dict[str, float] = field(default_factory=dict)      # bytes, by process


def look(port: int) -> Sample | None:
    """One look at a gateway's /metrics; None where it does not answer."""
    url = f"http://127.0.0.1:{port}/metrics"
    with contextlib.suppress(OSError, HTTPException), urllib.request.urlopen(url, timeout=5) as answer:
        return parse(time.monotonic(), answer.read().decode())
    return None


def parse(at: float, text: str) -> Sample:
    """Reads what the charts need."""
    sample = Sample(at)
    for name, rest, written in LINE.findall(text):
        labels, value = dict(LABEL.findall(rest)), float(written)
        match name:
            case "edge_requests_total":
                sample.conditions[labels["condition"]] += round(value)
            case "edge_overhead_seconds_bucket":
                sample.share[float(labels["le"])] += round(value)
            case "edge_overhead_seconds_sum":
                sample.share_sum += value
            case "process_cpu_seconds_total":
                sample.cpu[labels["process"]] = value
            case "process_resident_memory_bytes":
                sample.memory[labels["process"]] = value
    return sample


@dataclass(frozen=True, slots=True)
class Second:
    """What happened between two looks."""

    at: float
    share_mean: float | None            # seconds; None: no request ended
    share_p99: float | None
    cpu: Mapping[str, float]            # share of a core, by process
    memory: Mapping[str, float]         # bytes, by process, at its end


def seconds(samples: list[Sample]) -> list[Second]:
    """The differences."""
    return [Second(after.at, *own_share(before, after),
                   {name: (value - before.cpu[name]) / (after.at - before.at)
                    for name, value in after.cpu.items() if name in before.cpu}, after.memory)
            for before, after in pairwise(samples)]


def own_share(before: Sample, after: Sample) -> tuple[float | None, float | None]:
    """Mean and 99th percentile of the gateway's own share of requests that ended between two looks."""
    bounds = sorted(after.share)
    counts = [after.share[bound] - before.share[bound] for bound in bounds]
    if not counts or counts[-1] <= 0:
        return None, None
    rank = 0.99 * counts[-1]
    place = next(n for n, count in enumerate(counts) if count >= rank)
    low, below = (bounds[place - 1], counts[place - 1]) if place else (0.0, 0)
    high = bounds[place] if bounds[place] != float("inf") else low      # beyond the last bound: at least that
    return ((after.share_sum - before.share_sum) / counts[-1],
            low + (high - low) * (rank - below) / (counts[place] - below))
