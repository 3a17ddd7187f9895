"""The table of metrics: every family that `/metrics` can have, from the code that makes it."""

from __future__ import annotations

import asyncio
import mmap
import re
from dataclasses import dataclass
from functools import cache

from edge import contract
from edge._fast import Cache, Slab
from edge.control.fleet.process import Fleet
from edge.control.known import Known
from edge.control.metrics import SlabCollector
from edge.control.points.clerk import Clerk
from edge.control.requests import Requests
from edge.control.state import State
from edge.values.registry import Registry
from edge.values.snapshot import Limit, Provider, Redis, Snapshot

SUFFIXES = {"counter": ("_total",), "gauge": ("",), "info": ("_info",), "histogram": ("_bucket", "_sum", "_count")}
SAMPLE = re.compile(r"\b(?:edge|process)_\w+")


@dataclass(frozen=True, slots=True)
class Family:
    """One family: its name as OpenMetrics has it, its type, what it says, and what its series are told apart by."""

    name: str
    kind: str
    text: str
    labels: tuple[str, ...]


@cache
def families() -> dict[str, Family]:
    """All families, each by the names of its samples."""
    found = asyncio.run(collected())
    return {family.name + suffix: family for family in found for suffix in SUFFIXES[family.kind]}


async def collected() -> list[Family]:
    """What control tells of memory in which nothing has happened. (A fleet's part of it needs an event loop.)"""
    redis = Redis("redis", (("redis.invalid", 6379),))
    snapshot = Snapshot(
        version=1, port=1, listen_addr="127.0.0.1", workers=1, admin_addr="127.0.0.1", admin_port=2,
        providers=(Provider("provider", "openai", "https://provider.invalid/v1"),), limit=Limit(1, 1), redis=redis,
        wording=contract.values((("openai", "openai"), ("anthropic", "anthropic"))))
    registry = Registry()
    registry.plan(snapshot)
    state = State.of(Slab(1), registry, snapshot)
    state.slab.set_bucket(registry.bucket("gateway"), 1, 1)
    fleet = Fleet(redis, state)
    known = Known(lambda: fleet, requests=Requests(state.slab), clerk=Clerk(lambda: state),
                  cache=Cache(mmap.mmap(-1, 1 << 20), 2))
    return [Family(each.name, each.type, each.documentation, tuple(getattr(each, "_labelnames", ())))
            for each in SlabCollector(lambda: state, known).collect()]


def page() -> str:
    """The table as a page."""
    lines = [f"| `{name}` | {family.kind} | {' '.join(f'`{label}`' for label in family.labels)} | {family.text} |"
             for name, family in families().items() if not name.endswith(("_sum", "_count"))]
    return "\n".join(["# Metrics", "", "What `/metrics` on control's port tells. Of histograms there are `_sum` and "
                      "`_count` too.", "", "| metric | type | labels | what it is |", "|---|---|---|---|", *lines, ""])


def named(expression: str) -> list[Family]:
    """The families that an expression reads. KeyError: there is none of such a name."""
    return list(dict.fromkeys(families()[name] for name in SAMPLE.findall(expression)))
