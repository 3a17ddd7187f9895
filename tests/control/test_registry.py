"""Indices of series and buckets: one owner at a time, the same everywhere."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge._fast import MAX_SERIES
from edge.dialects.routes import OWN, ROUTES
from edge.values import registry as m
from edge.values.registry import NOWHERE, OTHER, Registry, RegistryFull
from edge.values.snapshot import Minute, Model, ModelLimit, Snapshot, Target
from tests.control.running import make_snapshot


def limits(*models: str) -> tuple[ModelLimit, ...]:
    """Limits of models."""
    return tuple(ModelLimit(model, None, Minute()) for model in models)


names = st.sampled_from([f"model-{n}" for n in range(6)])
snapshots = st.builds(
    lambda models, limited: make_snapshot(models=tuple(models), model_limits=limits(*limited)),
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
    assert registry.labels == {NOWHERE: 0, OTHER: 1}
    assert (registry.series(*NOWHERE), registry.series("chat", "x", "y"), registry.bucket("gateway")) == (0, 1, 0)
    with pytest.raises(KeyError):
        registry.bucket("model:none")


def test_everything_that_can_happen_is_planned() -> None:
    """Each route alone, each provider's relayed paths and models, and each model at its targets on their routes."""
    labels = planned(make_snapshot()).labels
    routes = [route.name for route in (*ROUTES, *OWN)] + ["relay"]
    spoken = {surface: [route.name for route in ROUTES if route.surface == surface]
              for surface in ("openai", "anthropic")}
    assert set(labels) == {
        NOWHERE, OTHER, *((name, "", "") for name in routes),
        *((name, provider, "") for name in ("relay", "models") for provider in ("first", "second")),
        *((name, "first", "gpt-5") for name in (*spoken["openai"], "relay")),
        *((name, "second", "claude-*") for name in (*spoken["anthropic"], "relay"))}
    assert len(labels) == len(set(labels))


@settings(max_examples=40, deadline=None)
@given(st.lists(snapshots, min_size=1, max_size=5), st.data())
def test_no_two_owners(versions: list[Snapshot], data: st.DataObject) -> None:
    """An index has one owner at a time, and none that is held by a request that began under an older version."""
    registry, held, settled = Registry(), dict[tuple[str, int], tuple[object, int]](), 0
    for number, version in enumerate(versions, 1):
        settled = data.draw(st.integers(settled, number - 1))     # requests end, and none comes back
        fresh = registry.plan(replace(version, version=number), settled)
        for table in ("series", "buckets", "targets", "pools"):
            indices = getattr(registry, f"_{table}").indices
            assert len(set(indices.values())) == len(indices)
            assert set(getattr(fresh, table)) <= set(indices.values())
            for name, index in indices.items():
                owner, last = held.get((table, index), (name, number))
                assert owner == name or last < settled + 1
                if owner != name:
                    assert index in getattr(fresh, table)
                gone = getattr(registry, f"_{table}").gone
                held[table, index] = name, gone[name] - 1 if name in gone else number
        copy = pickle.loads(pickle.dumps(registry))
        again = Registry(orjson.loads(orjson.dumps(registry.given)))
        assert copy.given == again.given == registry.given


def test_indices_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits come and go for ever; what a request still holds is not given away, and a quick return finds its own."""
    monkeypatch.setattr(m, "MAX_LIMITS", 4)
    registry = Registry()

    def plan(version: int, settled: int, *models: str) -> list[int]:
        registry.plan(make_snapshot(version=version, model_limits=limits(*models)), settled)
        return [registry.bucket(f"model:{model}") for model in models]

    assert plan(1, 0, "a", "b") == [1, 2]
    assert plan(2, 1, "c") == [3]                       # a request of version 1 may still hold a's and b's
    assert plan(3, 1, "b") == [2]
    with pytest.raises(RegistryFull, match="until the last requests of"):
        copy.deepcopy(registry).plan(make_snapshot(version=4, model_limits=limits(*"bdef")), 1)
    for version in range(4, 200):
        assert sorted(plan(version, version - 1, f"x{version}")) in ([1], [2], [3])


def test_series_keep_theirs_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model's series is shown and counts on after the model is gone and back; for want of room the oldest goes."""
    def model(version: int, name: str) -> Snapshot:
        return make_snapshot(version=version, models=(Model(name, (Target("first"),)),))

    registry = planned(model(1, "old"))
    mine = registry.series("chat", "first", "old")
    registry.plan(model(2, "new"), 1)
    assert registry.labels["chat", "first", "old"] == mine
    registry.plan(model(3, "old"), 2)
    assert registry.series("chat", "first", "old") == mine
    monkeypatch.setattr(m, "MAX_SERIES", len(registry.labels))
    registry.plan(model(4, "third"), 3)
    assert ("chat", "first", "new") not in registry.labels and ("chat", "first", "old") in registry.labels
    assert registry.series("chat", "first", "third") > 1


def test_series_that_find_no_room_share_one() -> None:
    """With more models than series the first ones keep their own, and the rest is counted as `other`."""
    models = tuple(Model(f"model-{n}", (Target("first"),)) for n in range(MAX_SERIES))
    registry = planned(make_snapshot(models=models))
    assert len(registry.labels) == MAX_SERIES
    assert registry.series("chat", "first", "model-0") > 1
    assert registry.series("chat", "first", models[-1].name) == registry.series(*OTHER)
    assert registry.series("chat", "", "") > 1


def test_limits_that_find_no_bucket_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version with more limits than buckets is refused whole: no model goes without its limit."""
    monkeypatch.setattr(m, "MAX_LIMITS", 4)
    registry = planned(make_snapshot(model_limits=limits("alice", "bob")))
    limited = limits("carol", "dave", "eve", "fred")
    with pytest.raises(RegistryFull, match="room for 1 limits until the last requests of 2 others have ended"):
        copy.deepcopy(registry).plan(make_snapshot(version=2, model_limits=limited))
    with pytest.raises(RegistryFull, match=r"room for 3 limits$"):
        copy.deepcopy(registry).plan(make_snapshot(version=2, model_limits=limited), 2)
    registry.plan(make_snapshot(version=2, model_limits=limited[:1]))
    assert registry.bucket("model:carol") == 3
