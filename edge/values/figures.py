"""The figures as JSON, for people: `/stats` of control, and of the data port what belongs to the key that asks."""

from __future__ import annotations

from typing import Any

from edge._fast import (
    LONG_BOUNDS,
    RELAYED,
    RELAYED_STATUSES,
    SHORT_BOUNDS,
    UNLIMITED,
    Condition,
    Directory,
    Healths,
    KeyRow,
    Places,
    Purses,
    Slab,
    monotonic,
)
from edge.values import directory
from edge.values.directory import CONCURRENT, PARTIES, all_limits
from edge.values.parties import KINDS, digest
from edge.values.registry import Place, Registry, bucket_name, named, owners, places
from edge.values.snapshot import Snapshot

BOUNDS = {"total": LONG_BOUNDS, "first_byte": LONG_BOUNDS, "overhead": SHORT_BOUNDS}   # seconds
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


def limit(slab: Slab, bucket: int, snapshot: Snapshot) -> dict[str, int] | None:
    """What a bucket holds when it is full, and what is left, on all hosts that share it; None: unlimited."""
    full = slab.limit(bucket)
    left = slab.left if snapshot.redis is None else Purses(slab).left
    return None if full == UNLIMITED else {"limit": full, "left": left(bucket)}


def concurrencies(slab: Slab, registry: Registry, snapshot: Snapshot) -> dict[str, dict[str, int]]:
    """How many requests at once each owner may have, and how many more there may be now; the others: any number."""
    found = {owner: registry.bucket(bucket_name(CONCURRENT, owner)) for owner, limited in owners(snapshot)
             if limited.concurrent_requests}
    found |= {each.owner: each.index for each in all_limits(slab) if each.kind == CONCURRENT}
    return {owner: concurrency(slab, bucket, snapshot) for owner, bucket in found.items()}


def concurrency(slab: Slab, bucket: int, snapshot: Snapshot) -> dict[str, int]:
    """The same of one that has such a limit; on all hosts that share it, as far as this one knows."""
    most, held = slab.concurrency(bucket)
    return {"limit": most, "left": max(0, most - held) if snapshot.redis is None else Places(slab).left(bucket)}


def limits(slab: Slab, registry: Registry, snapshot: Snapshot) -> list[dict[str, Any]]:
    """Everything that is limited: by owner and by what is counted, what there may be and what is left of it."""
    found = [(owner, kind, bucket) for owner, limited in owners(snapshot)
             for bucket, kind, _ in registry.takes(owner, limited)]
    found += [(each.owner, each.kind, each.index) for each in all_limits(slab)]
    return [of_limit(slab, snapshot, *each) for each in found]


def of_limit(slab: Slab, snapshot: Snapshot, owner: str, kind: str, bucket: int) -> dict[str, Any]:
    """One of them."""
    told = concurrency if kind == CONCURRENT else limit
    return {"owner": owner, "kind": kind, **(told(slab, bucket, snapshot) or {})}


def behind_key(slab: Slab, registry: Registry, snapshot: Snapshot, row: KeyRow) -> list[dict[str, Any]]:
    """All limits that a request of a key takes from, but for the model's: its own, those of who stands behind it, the
    gateway's. `full_in` is how many seconds a limit takes to be full again, where this host can tell.
    """
    found = [(each.owner, each.kind, each.index) for each in directory.limits(row)]
    for kind, number in zip(KINDS, row.parties, strict=True):
        party = Directory(slab, PARTIES).find(digest(kind, number)) if number else None
        found += [(each.owner, each.kind, each.index) for each in (directory.limits(party, PARTIES) if party else ())]
    found += [("gateway", kind, bucket) for bucket, kind, _ in registry.takes("gateway", snapshot)]
    alone = snapshot.redis is None
    return [{**of_limit(slab, snapshot, owner, kind, bucket),
             **({"full_in": slab.full_in(bucket) / 1e9} if alone and kind != CONCURRENT else {})}
            for owner, kind, bucket in found]


def target(slab: Slab, registry: Registry, snapshot: Snapshot, place: Place) -> dict[str, Any]:
    """How a target is. Times in seconds from now; `failures` are in a row, `benched` is by number of provider key."""
    keys = next(max(1, len(provider.keys)) for provider in snapshot.providers if provider.name == place[0])
    total = Healths(slab).total(registry.target(*place), keys)
    return {
        "target": named(place), "provider": place[0], **total._asdict(),
        "benched": {str(key): seconds for key, seconds in enumerate(total.benched, 1) if seconds},
        "failed": {outcome(slot): count for slot, count in enumerate(total.failed) if count}}


def targets(slab: Slab, registry: Registry, snapshot: Snapshot) -> list[dict[str, Any]]:
    """All targets of the version in force."""
    return [target(slab, registry, snapshot, place) for place in dict.fromkeys(places(snapshot))]


def providers(slab: Slab, registry: Registry, snapshot: Snapshot) -> list[dict[str, Any]]:
    """The load of each provider."""
    return [{"provider": provider.name, **slab.load_total(registry.pool(provider.name))._asdict()}
            for provider in snapshot.providers]


def collect(slab: Slab, registry: Registry, snapshot: Snapshot) -> dict[str, Any]:
    """All of it, for the admin port, but what is a tenant's own. Series that never had a request are left out.

    `seconds` of a series are its requests by their times: how many up to each of `bounds`, the last being longer ones.
    """
    series: list[dict[str, Any]] = []
    for (route, provider, model), index in registry.labels.items():
        total = slab.series_total(index)
        outcomes = {outcome(slot): count for slot, count in enumerate(total.outcomes) if count}
        if outcomes or total.in_flight:
            series.append({
                "route": route, "provider": provider, "model": model, "in_flight": total.in_flight,
                "requests": outcomes,
                "tokens": {"input": total.input_tokens, "output": total.output_tokens,
                           "cached": total.cached_tokens},
                "seconds": {name: getattr(total, name).counts for name in BOUNDS}})
    return {
        "version": snapshot.version,
        "in_flight": sum(each["in_flight"] for each in series),
        "requests": sum(sum(each["requests"].values()) for each in series),
        "limit": limit(slab, registry.bucket("gateway"), snapshot),
        "workers": workers(slab),
        "providers": providers(slab, registry, snapshot),
        "targets": targets(slab, registry, snapshot),
        "bounds": BOUNDS,
        "series": series,
    }


def of_keys(slab: Slab, snapshot: Snapshot) -> dict[str, dict[str, int] | None]:
    """The limits of requests per second, by key."""
    return {each.name.removeprefix("key:"): limit(slab, each.index, snapshot) for each in all_limits(slab)
            if each.name.startswith("key:")}


def of_key(slab: Slab, snapshot: Snapshot, name: str) -> dict[str, Any]:
    """What belongs to one key, and no word of other keys, of targets or of how the gateway is: for the data port."""
    row = directory.named(slab, name)
    if row is None:                     # it has gone while it asked
        return {"key": name}
    key, found = directory.shown(row), {each.name: each for each in directory.limits(row)}
    concurrent = found.pop(bucket_name(CONCURRENT, f"key:{name}"), None)
    own = found.pop(f"key:{name}", None)
    return {"key": name, "limit": limit(slab, own.index, snapshot) if own else None,
            "minute": {each.kind: limit(slab, each.index, snapshot) for each in found.values()},
            "concurrent_requests": concurrency(slab, concurrent.index, snapshot) if concurrent else None,
            "priority": key.priority, "models": key.models, "scopes": key.scopes, "expires": key.expires}
