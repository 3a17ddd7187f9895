"""The gateway's figures as JSON, for people: `/stats`. A monitoring system wants control's `/metrics`."""

from __future__ import annotations

from typing import Any

from edge._fast import RELAYED, RELAYED_STATUSES, UNLIMITED, Condition, Slab, monotonic
from edge.catalogue import Snapshot
from edge.registry import Registry

_CONDITIONS = {int(condition): condition.name for condition in Condition}


def outcome(slot: int) -> str:
    """The name of a slot of SeriesTotal.outcomes: a condition, or `relayed_` and a provider's status."""
    if slot < RELAYED:
        return _CONDITIONS[slot]
    known = slot - RELAYED < len(RELAYED_STATUSES)
    return f"relayed_{RELAYED_STATUSES[slot - RELAYED] if known else 'other'}"


def workers(slab: Slab) -> list[dict[str, Any]]:
    """What each worker has and has had, and seconds since its event loop last turned (None: never)."""
    now = monotonic()
    found = []
    for index in range(slab.workers):
        counts = slab.worker_total(index)._asdict()
        heartbeat = counts.pop("heartbeat_ns")
        age = (now - heartbeat) / 1e9 if heartbeat else None
        found.append({"worker": index, "heartbeat_age": age, **counts})
    return found


def limit(slab: Slab, bucket: int) -> dict[str, int] | None:
    """What a bucket holds when it is full, and what is left; None: unlimited."""
    full = slab.limit(bucket)
    return None if full == UNLIMITED else {"limit": full, "left": slab.left(bucket)}


def collect(slab: Slab, registry: Registry, snapshot: Snapshot) -> dict[str, Any]:
    """All of it but what is a tenant's own. Series that never had a request are left out."""
    series: list[dict[str, Any]] = []
    for index, (route, provider, model) in enumerate(registry.labels):
        total = slab.series_total(index)
        outcomes = {outcome(slot): count for slot, count in enumerate(total.outcomes) if count}
        if outcomes or total.in_flight:
            series.append({
                "route": route, "provider": provider, "model": model, "in_flight": total.in_flight,
                "requests": outcomes,
                "tokens": {"input": total.input_tokens, "output": total.output_tokens,
                           "cached": total.cached_tokens}})
    return {
        "version": snapshot.version,
        "in_flight": sum(each["in_flight"] for each in series),
        "requests": sum(sum(each["requests"].values()) for each in series),
        "limit": limit(slab, registry.bucket("gateway")),
        "workers": workers(slab),
        "series": series,
    }
