"""Which series counts what, and which bucket limits whom: names to indices of the shared memory.

The supervisor holds the registry, plans every version of the configuration into it before the version is in
force, and hands it out together with the snapshot. Indices are given once and never taken back, so that a
count is never attributed to another; everybody else only looks up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from edge._fast import MAX_BUCKETS, MAX_POOLS, MAX_SERIES, MAX_TARGETS, Slab
from edge.catalogue import Snapshot
from edge.routes import MODELS, NAMES, RELAY, ROUTES

Labels = tuple[str, str, str]       # route, provider, model: what was configured, never what a client sent

NOWHERE: Labels = ("", "", "")      # requests that ended before they had a route
OTHER: Labels = ("other", "other", "other")     # what came after the last free series


Place = tuple[str, str]             # of a target: provider, and the model's name there; "" where it has none


class RegistryFull(ValueError):
    """There are more keys than buckets, or more targets or providers than records of their health.

    (Series share the one of OTHER instead.)
    """


class Registry:
    """Grows by `plan` alone. Picklable."""

    def __init__(self, indices: Mapping[str, Iterable[Any]] = MappingProxyType({})) -> None:
        self._series = {NOWHERE: 0, OTHER: 1}
        self._buckets = {"gateway": 0}
        self._targets: dict[Place, int] = {}
        self._pools: dict[str, int] = {}
        for table, names in indices.items():
            given = {tuple(name) if isinstance(name, list) else name: index for index, name in enumerate(names)}
            setattr(self, f"_{table}", given)

    @property
    def indices(self) -> dict[str, list[Any]]:
        """All names by index, table by table: what another Registry is made of that knows the same."""
        return {table.removeprefix("_"): list(names) for table, names in vars(self).items()}

    def series(self, route: str, provider: str, model: str) -> int:
        """The index of a planned series; OTHER's for any that is not."""
        return self._series.get((route, provider, model), self._series[OTHER])

    def bucket(self, name: str) -> int:
        """The index of a planned bucket: `gateway`, or `key:` and a key's name. KeyError: not planned."""
        return self._buckets[name]

    def target(self, provider: str, model: str) -> int:
        """The index of a planned target's health. KeyError: not planned."""
        return self._targets[provider, model]

    def pool(self, provider: str) -> int:
        """The index of a planned provider's load. KeyError: not planned."""
        return self._pools[provider]

    @property
    def targets(self) -> Mapping[Place, int]:
        """The indices of all targets that any version has had."""
        return self._targets

    @property
    def labels(self) -> list[Labels]:
        """What the series count, by index."""
        return list(self._series)

    def plan(self, snapshot: Snapshot) -> None:
        """Give an index to all that this version can count or limit. RegistryFull: nothing was changed."""
        keys = [name for key in snapshot.keys if (name := f"key:{key.name}") not in self._buckets]
        if len(self._buckets) + len(keys) > MAX_BUCKETS:
            raise RegistryFull(f"there is room for {MAX_BUCKETS - 1} keys until the next start; "
                               f"{len(self._buckets) - 1} have had theirs, and {len(keys)} are new")
        self._room("targets", self._targets, places(snapshot), MAX_TARGETS)
        self._room("providers", self._pools, (provider.name for provider in snapshot.providers), MAX_POOLS)
        self._grow(self._targets, places(snapshot))
        self._grow(self._pools, (provider.name for provider in snapshot.providers))
        for name in keys:
            self._buckets[name] = len(self._buckets)
        for labels in countable(snapshot):
            if labels not in self._series and len(self._series) < MAX_SERIES:
                self._series[labels] = len(self._series)

    @staticmethod
    def _room(what: str, planned: Mapping[Any, int], wanted: Iterable[Any], most: int) -> None:
        new = len(set(wanted) - set(planned))
        if len(planned) + new > most:
            raise RegistryFull(f"there is room for {most} {what} until the next start; "
                               f"{len(planned)} have had theirs, and {new} are new")

    @staticmethod
    def _grow(planned: dict[Any, int], wanted: Iterable[Any]) -> None:
        for each in wanted:
            planned.setdefault(each, len(planned))


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


def prepare(slab: Slab, registry: Registry, snapshot: Snapshot) -> None:
    """Series and buckets of one version, before it is in force. ValueError: there is no room, or a limit is none."""
    registry.plan(snapshot)
    limits = [("gateway", snapshot.limit), *((f"key:{key.name}", key.limit) for key in snapshot.keys)]
    for name, limit in limits:
        slab.set_bucket(registry.bucket(name), limit.rate if limit else 0.0, limit.burst if limit else 0)
