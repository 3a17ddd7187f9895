"""Which series counts what, and which bucket limits whom: names to indices of the shared memory.

The supervisor holds the registry, plans every version of the configuration into a copy of it, and hands that out
together with the snapshot; everybody else only looks up. (Limits of keys are in the directory.) An index that no
version names any more is given to another name once no process has a request on its way that began while it was named:
what counts late counts for the right one. Limits' indices are given back as soon as that is so. The others keep theirs
while there is room for all: their counts stay visible, and go on where they were if the name comes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Any

from edge._fast import MAX_LIMITS, MAX_POOLS, MAX_SERIES, MAX_TARGETS, Slab
from edge.dialects.routes import MODELS, NAMES, RELAY, ROUTES
from edge.values.directory import CONCURRENT, FILE, Directory
from edge.values.snapshot import Key, ModelLimit, Snapshot

Limited = Snapshot | Key | ModelLimit       # who has limits
Labels = tuple[str, str, str]       # route, provider, model: what was configured, never what a client sent

NOWHERE: Labels = ("", "", "")      # requests that ended before they had a route
OTHER: Labels = ("other", "other", "other")     # what came after the last free series
REQUESTS = "requests"               # of KINDS_OF_LIMITS
WORDS = {"buckets": "limits", "targets": "targets", "pools": "providers"}
SECTIONS = {"buckets": "model_limits", "targets": "models", "pools": "providers"}   # of the configuration


Place = tuple[str, str]             # of a target: provider, and the model's name there; "" where it has none


class RegistryFull(ValueError):
    """There are more limits than buckets, or more targets or providers than records of their health.

    (Series share the one of OTHER instead.) `section` is the one of the configuration that has them.
    """

    def __init__(self, section: str, message: str) -> None:
        super().__init__(message)
        self.section = section


@dataclass(frozen=True, slots=True)
class Fresh:
    """Indices that a version gives to new names."""

    series: list[int]
    buckets: list[int]
    targets: list[int]
    pools: list[int]


class Table:
    """Indices below `room` by name, and since which version a name is in the configuration no more."""

    def __init__(self, given: Iterable[Sequence[Any]] = ()) -> None:
        self.indices: dict[Any, int] = {}
        self.gone: dict[Any, int] = {}
        for name, index, gone in given:
            name = tuple(name) if isinstance(name, list) else name
            self.indices[name] = index
            if gone is not None:
                self.gone[name] = gone

    def given(self) -> list[tuple[Any, int, int | None]]:
        """All of it as JSON: what another Table is made of that knows the same."""
        return [(name, index, self.gone.get(name)) for name, index in self.indices.items()]

    def plan(self, wanted: Iterable[Any], version: int, settled: int, room: int, *, keeps: bool) -> list[int]:
        """An index for each name, as far as there is room. Those that are new.

        What is gone since a version up to `settled` can be given to others; with `keeps` it is only if need be.
        """
        wanted = dict.fromkeys(wanted)
        for name in self.indices:
            if name not in wanted:
                self.gone.setdefault(name, version)
        for name in wanted:
            self.gone.pop(name, None)
        new = [name for name in wanted if name not in self.indices]
        idle = [name for name, since in self.gone.items() if since <= settled]
        for name in idle[:max(0, len(self.indices) + len(new) - room)] if keeps else idle:
            del self.indices[name], self.gone[name]
        used = set(self.indices.values())
        free = islice((index for index in range(room) if index not in used), len(new))
        given = dict(zip(new, free, strict=False))
        self.indices.update(given)
        return list(given.values())


class Registry:
    """Changed by `plan` alone. Picklable."""

    def __init__(self, given: Mapping[str, Iterable[Sequence[Any]]] = MappingProxyType({})) -> None:
        self._series = Table(given.get("series", ((NOWHERE, 0, None), (OTHER, 1, None))))
        self._buckets = Table(given.get("buckets", (("gateway", 0, None),)))
        self._targets = Table(given.get("targets", ()))
        self._pools = Table(given.get("pools", ()))

    @property
    def given(self) -> dict[str, list[tuple[Any, int, int | None]]]:
        """All names by table, as JSON: what another Registry is made of that knows the same."""
        return {name.removeprefix("_"): table.given() for name, table in vars(self).items()}

    def series(self, route: str, provider: str, model: str) -> int:
        """The index of a planned series; OTHER's for any that is not."""
        return self._series.indices.get((route, provider, model), self._series.indices[OTHER])

    def bucket(self, name: str) -> int:
        """The index of a planned bucket, see `terms`. KeyError: not planned."""
        return self._buckets.indices[name]

    def takes(self, owner: str, limited: Limited) -> list[tuple[int, str, int]]:
        """The buckets of an owner that limit anything, what each counts, and how many a full one holds."""
        found = [(bucket_name(CONCURRENT, owner), CONCURRENT, limited.concurrent_requests)]
        found += [(owner, REQUESTS, limited.limit.burst)] if limited.limit else []
        found += [(bucket_name(kind, owner), kind, units) for kind, units in limited.minute.units]
        return [(self.bucket(name), kind, most) for name, kind, most in found if most]

    def target(self, provider: str, model: str) -> int:
        """The index of a planned target's health. KeyError: not planned."""
        return self._targets.indices[provider, model]

    def pool(self, provider: str) -> int:
        """The index of a planned provider's load. KeyError: not planned."""
        return self._pools.indices[provider]

    @property
    def targets(self) -> Mapping[Place, int]:
        """The indices of all targets, also of those that are gone and keep theirs."""
        return self._targets.indices

    @property
    def labels(self) -> Mapping[Labels, int]:
        """What the series count, likewise."""
        return self._series.indices

    def plan(self, snapshot: Snapshot, settled: int = 0) -> Fresh:
        """Give an index to all that this version can count or limit. What is given anew must be cleared.

        No process has a request that began before version `settled`. RegistryFull: there is no room; forget this copy.
        """
        wanted: dict[str, Iterable[Any]] = {
            "buckets": [*terms(snapshot), *concurrencies(snapshot)],
            "targets": places(snapshot),
            "pools": [provider.name for provider in snapshot.providers],
            "series": [NOWHERE, OTHER, *countable(snapshot)]}
        room = {"buckets": MAX_LIMITS, "targets": MAX_TARGETS, "pools": MAX_POOLS, "series": MAX_SERIES}
        fresh = {}
        for name, names in wanted.items():
            table: Table = getattr(self, f"_{name}")
            names = list(names)
            fresh[name] = table.plan(names, snapshot.version, settled, room[name], keeps=name != "buckets")
            if name != "series" and not table.indices.keys() >= set(names):
                free = room[name] - len(table.gone) - (name == "buckets")
                raise RegistryFull(SECTIONS[name], f"there is room for {free} {WORDS[name]}" + (
                    f" until the last requests of {len(table.gone)} others have ended" if table.gone else ""))
        return Fresh(**fresh)


def places(snapshot: Snapshot) -> Iterator[Place]:
    """Every target of this version: those of models, and each provider's relayed paths."""
    for provider in snapshot.providers:
        yield provider.name, ""
    for model in snapshot.models:
        for target in model.targets:
            yield target.provider, target.model or model.name


def named(place: Place) -> str:
    """A target's name, for people."""
    return "/".join(filter(None, place))


def countable(snapshot: Snapshot) -> Iterator[Labels]:
    """Every combination that a request can end in; a provider serves the routes of the dialect it speaks."""
    for name in NAMES:
        yield name, "", ""
    for provider in snapshot.providers:
        yield RELAY, provider.name, ""
        yield MODELS.name, provider.name, ""
    kinds = {provider.name: provider.kind for provider in snapshot.providers}
    for model in snapshot.models:
        for target in model.targets:
            for route in ROUTES:
                if route.surface == kinds[target.provider]:
                    yield route.name, target.provider, model.name
            yield RELAY, target.provider, model.name


def terms(snapshot: Snapshot) -> dict[str, tuple[float, int]]:
    """Rate and burst of each bucket; a rate of 0 is no limit.

    An owner has one of its name for requests per second, and others of a `bucket_name`.
    """
    found: dict[str, tuple[float, int]] = {}
    for owner, limited in owners(snapshot):
        found[owner] = (limited.limit.rate, limited.limit.burst) if limited.limit else (0.0, 0)
        for kind, units in limited.minute.units:
            found[bucket_name(kind, owner)] = (units / limited.minute.seconds, units)
    return found


def concurrencies(snapshot: Snapshot) -> dict[str, int]:
    """How many requests at once, of each bucket that says so and nothing else."""
    return {bucket_name(CONCURRENT, owner): limited.concurrent_requests
            for owner, limited in owners(snapshot) if limited.concurrent_requests}


def bucket_name(kind: str, owner: str) -> str:
    """Of a minute's units, or of concurrent requests."""
    return f"{kind}@{owner}"


def owners(snapshot: Snapshot) -> Iterator[tuple[str, Limited]]:
    """Who has limits besides keys (edge.values.directory): `gateway`, `model:` and a model's name."""
    yield "gateway", snapshot
    for each in snapshot.model_limits:
        yield f"model:{each.model}", each


def prepare(slab: Slab, registry: Registry, snapshot: Snapshot, settled: int = 0) -> Fresh:
    """Plans a version into a registry that nobody uses yet. ValueError: there is no room, or a limit is none."""
    for rate, burst in terms(snapshot).values():
        slab.terms(rate, burst)
    Directory(slab, FILE).check(snapshot.keys)
    return registry.plan(snapshot, settled)


def apply(slab: Slab, registry: Registry, snapshot: Snapshot, fresh: Fresh) -> None:
    """What was prepared is in force in the shared memory from now on; keys that the version has no more still are."""
    slab.clear(fresh.series, fresh.buckets, fresh.targets, fresh.pools)
    for name, (rate, burst) in terms(snapshot).items():
        slab.set_bucket(registry.bucket(name), rate, burst)
    for name, most in concurrencies(snapshot).items():
        slab.set_concurrency(registry.bucket(name), most)
    directory = Directory(slab, FILE)
    for key in snapshot.keys:
        directory.put(key)
