"""Indices of series and buckets: given once, the same everywhere."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import registry as m
from edge._fast import MAX_SERIES
from edge.catalogue import Key, Model, Snapshot, Target
from edge.registry import NOWHERE, OTHER, Registry, RegistryFull
from edge.routes import OWN, ROUTES
from tests.control.running import make_snapshot

names = st.sampled_from([f"model-{n}" for n in range(6)])
snapshots = st.builds(
    lambda models, keys: make_snapshot(models=tuple(models), keys=tuple(Key(key, b"") for key in keys)),
    st.lists(st.builds(lambda name, at: Model(name, (Target(at),)), names, st.sampled_from(["first", "second"]))),
    st.lists(names, unique=True))


def planned(*snapshots: Snapshot) -> Registry:
    """A registry that has seen these versions."""
    registry = Registry()
    for snapshot in snapshots:
        registry.plan(snapshot)
    return registry


def test_reserved_indices() -> None:
    """Series 0 counts requests without a route, series 1 what has no series; bucket 0 is the gateway's."""
    registry = Registry()
    assert registry.labels == [NOWHERE, OTHER]
    assert (registry.series(*NOWHERE), registry.series("chat", "x", "y"), registry.bucket("gateway")) == (0, 1, 0)
    with pytest.raises(KeyError):
        registry.bucket("key:nobody")


def test_everything_that_can_happen_is_planned() -> None:
    """Each route alone, each provider's relayed paths and models, and each model at its targets on their routes."""
    labels = planned(make_snapshot()).labels
    routes = [route.name for route in (*ROUTES, *OWN)] + ["relay"]
    spoken = {surface: [route.name for route in ROUTES if route.surface == surface]
              for surface in ("openai", "anthropic")}
    assert set(labels) == {
        NOWHERE, OTHER, *((name, "", "") for name in routes),
        *((name, provider, "") for name in ("relay", "models") for provider in ("first", "second")),
        *((name, "first", "gpt-5") for name in spoken["openai"]),
        *((name, "second", "claude-*") for name in spoken["anthropic"])}
    assert len(labels) == len(set(labels))


@given(st.lists(snapshots, max_size=5))
def test_indices_are_for_ever(versions: list[Snapshot]) -> None:
    """What has an index keeps it through every later version, and a pickled copy gives the same ones."""
    registry = Registry()
    for version in versions:
        before = registry.labels
        buckets = {key.name: registry.bucket(f"key:{key.name}") for each in versions for key in each.keys
                   if f"key:{key.name}" in registry._buckets}
        registry.plan(version)
        assert registry.labels[:len(before)] == before
        assert all(registry.bucket(f"key:{name}") == index for name, index in buckets.items())
        copy = pickle.loads(pickle.dumps(registry))
        assert copy.labels == registry.labels
        assert [copy.series(*labels) for labels in copy.labels] == list(range(len(copy.labels)))
        assert len({copy.bucket(f"key:{key.name}") for key in version.keys} | {0}) == len(version.keys) + 1


def test_series_that_find_no_room_share_one() -> None:
    """With more models than series the first ones keep their own, and the rest is counted as `other`."""
    models = tuple(Model(f"model-{n}", (Target("first"),)) for n in range(MAX_SERIES))
    registry = planned(make_snapshot(models=models))
    assert len(registry.labels) == MAX_SERIES
    assert registry.series("chat", "first", "model-0") > 1
    assert registry.series("chat", "first", models[-1].name) == registry.series(*OTHER)
    assert registry.series("chat", "", "") > 1


def test_keys_that_find_no_bucket_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version with more keys than buckets is refused whole: no key goes without its limit."""
    monkeypatch.setattr(m, "MAX_BUCKETS", 4)
    registry = planned(make_snapshot())
    keys = tuple(Key(name, b"") for name in ("carol", "dave"))
    with pytest.raises(RegistryFull, match="room for 3 keys"):
        registry.plan(make_snapshot(keys=keys))
    with pytest.raises(KeyError):
        registry.bucket("key:carol")
    registry.plan(make_snapshot(keys=keys[:1]))
    assert registry.bucket("key:carol") == 3
