"""Every bound of the configuration: what is at it loads and is in force, what is one over it is named at its place."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edge import worker
from edge._fast import Slab
from edge.config.sections import maximums
from edge.config.sections.settings import Settings
from edge.values.registry import Registry, prepare
from tests.config.conftest import Config

Path = tuple[str | int, ...]


def base() -> dict[str, Any]:
    """A configuration with one entry of each kind."""
    return {"port": 8766, "listen_addr": "127.0.0.1", "workers": 1,
            "providers": {"openai": {"key": "env:OPENAI_API_KEY", "health_check": {"path": "/models"}}},
            "redis": {"url": "redis://redis.internal"}, "access_log": {"path": "-", "sample": {"ok": 1}},
            "tracing": {"endpoint": "http://127.0.0.1:4318/v1/traces"},
            "models": {"m": [{"provider": "openai", "model": "n"}]}, "model_limits": {"m": {"requests_per_second": 1}},
            "prices": {"m": {"input": 1}}, "store": "edge.db",
            "keys": [{"name": "a", "key": "env:KEY_A", "rate_limit": {"requests_per_second": 1}}]}


def shapes(node: dict[str, Any], at: Path, kinds: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """All places of values, as in base(), and the shape of each; one of several forms has several."""
    if "$ref" in node:
        node = kinds[node["$ref"].rpartition("/")[2]]
    yield at, node
    for choice in node.get("anyOf", ()):
        yield from shapes(choice, at, kinds)
    for name, value in node.get("properties", {}).items():
        yield from shapes(value, (*at, name), kinds)
    if isinstance(node.get("additionalProperties"), dict):
        name = {("models",): "m", ("model_limits",): "m", ("prices",): "m", ("access_log", "sample"): "ok"}.get(
            at, "openai")
        yield from shapes(node["additionalProperties"], (*at, name), kinds)
    if isinstance(node.get("items"), dict):
        yield from shapes(node["items"], (*at, 0), kinds)


def placed(data: dict[str, Any], at: Path, value: Any) -> dict[str, Any]:
    """A copy with the value at that place."""
    data = copy.deepcopy(data)
    around: Any = data
    for step in at[:-1]:
        around = around[step] if isinstance(step, int) else around.setdefault(step, {})
    around[at[-1]] = value
    return data


SCHEMA = Settings.model_json_schema()
# The other form of `models` (one target for a list of one) has the same bounds; `port` leaves one for admin.
SHAPES = [(at, shape) for at, shape in shapes(SCHEMA, (), SCHEMA["$defs"])
          if at[:2] != ("models", "m") or len(at) > 3]
NUMBERS = {at: shape["maximum"] for at, shape in SHAPES if "maximum" in shape}
LEASTS = {at: shape["minimum"] for at, shape in SHAPES if "minimum" in shape}


def test_the_data_plane_takes_every_number_at_its_most(config: Config) -> None:
    """What validates is in force: with all numbers at their highest at once the tables of a worker can be made."""
    data = base()
    for at, most in NUMBERS.items():
        data = placed(data, at, most)
    data["port"], data["workers"] = 1, 1
    snapshot = config.load(json.dumps(data))
    slab, registry = Slab(1), Registry()
    prepare(slab, registry, snapshot)
    worker.rehearse(slab, registry, snapshot)
    assert snapshot.bounds.head_bytes == snapshot.bounds.target_bytes == maximums.MAX_HEAD
    assert snapshot.providers[0].max_connections == snapshot.providers[0].max_idle == (1 << 31) - 1


@pytest.mark.parametrize("at", NUMBERS, ids=lambda at: ".".join(map(str, at)))
def test_a_number_over_its_most_is_named(config: Config, at: Path) -> None:
    """One over is refused at its place, never capped in silence."""
    over = NUMBERS[at] + 1
    problem = config.problem(json.dumps(placed(base(), at, over)))
    assert problem.key.replace("[", ".").replace("]", "") == ".".join(map(str, at))
    assert "at most" in problem.message


def test_the_data_plane_takes_every_number_at_its_least(config: Config) -> None:
    """So it is with all numbers at their lowest at once."""
    data = base()
    for at, least in LEASTS.items():
        data = placed(data, at, least)
    snapshot = config.load(json.dumps(data))
    slab, registry = Slab(1), Registry()
    prepare(slab, registry, snapshot)
    worker.rehearse(slab, registry, snapshot)
    assert (snapshot.bounds.head_bytes, snapshot.bounds.target_bytes, snapshot.bounds.body_bytes) == (1024, 256, 1)


@pytest.mark.parametrize("at", LEASTS, ids=lambda at: ".".join(map(str, at)))
def test_a_number_under_its_least_is_named(config: Config, at: Path) -> None:
    """Less is refused at its place, never raised in silence."""
    under = LEASTS[at] - 1
    problem = config.problem(json.dumps(placed(base(), at, under)))
    assert problem.key.replace("[", ".").replace("]", "") == ".".join(map(str, at))
    assert "at least" in problem.message


@pytest.mark.parametrize("size", [1, 2048, (1 << 18) - 1])
def test_memory_that_serves_nobody_is_named(config: Config, size: int) -> None:
    """So little memory that requests are refused for it was meant in another unit; 0 and 256 KB load."""
    at = ("limits", "memory_bytes")
    problem = config.problem(json.dumps(placed(base(), at, size)))
    assert problem.key == "limits.memory_bytes" and f"at least 262144, got {size}" in problem.message
    assert config.load(json.dumps(placed(base(), at, 1 << 18))).bounds.memory_bytes == 1 << 18
    assert config.load(json.dumps(placed(base(), at, 0))).bounds.memory_bytes > 1 << 20


def header(size: int) -> dict[str, str]:
    """Headers of a provider, as many bytes as this on the wire."""
    return {"x": "v" * (size - len("x: \r\n"))}


# Of a text: its place, what makes one of a size, and the largest.
TEXTS: dict[str, tuple[Path, Callable[[int], Any], int]] = {
    "base_url": (("providers", "openai", "base_url"), lambda n: "http://localhost/".ljust(n, "u"), maximums.MAX_URL),
    "provider key": (("providers", "openai", "key"), lambda n: "k" * n, maximums.MAX_SECRET),
    "keys": (("providers", "openai"), lambda n: {"keys": ["k" * n, "other"]}, maximums.MAX_SECRET),
    "header": (("providers", "openai", "headers"), lambda n: {"x": "v" * n}, maximums.MAX_SECRET),
    "name of a header": (("providers", "openai", "headers"), lambda n: {"h" * n: "v"}, maximums.MAX_FIELD_NAME),
    "headers": (("providers", "openai", "headers"), lambda n: {
        **{f"h{i:03}": "v" * 1016 for i in range(15)}, **header(n - 15 * 1024)}, maximums.MAX_HEADERS),
    "target's model": (("models", "m"), lambda n: [{"provider": "openai", "model": "m" * n}], maximums.MAX_MODEL),
    "target in short": (("models", "m"), lambda n: "openai/" + "m" * n, maximums.MAX_MODEL),
    "model": (("models",), lambda n: {"m": "openai", "m" * n: "openai"}, maximums.MAX_MODEL),
    "fallback": (("fallback",), lambda n: {"m": "openai/" + "m" * n}, maximums.MAX_MODEL),
    "provider's models": (("providers", "openai", "models"), lambda n: ["m", "n", "m" * n], 4096),
    "sticky": (("sticky",), lambda n: "s" * n, maximums.MAX_FIELD_NAME),
    "client's key": (("keys", 0, "key"), lambda n: "k" * n, 512),
    "key's models": (("keys", 0, "models"), lambda n: ["m" * n], 4096),
    "models that a key may not use": (("keys", 0, "denied_models"), lambda n: ["m" * n], 4096),
    "name of a key": (("keys", 0, "name"), lambda n: "n" * n, 64),
    "header of a key": (("providers", "openai", "key_header"), lambda n: "h" * n, maximums.MAX_FIELD_NAME),
    "path of a check": (("providers", "openai", "health_check"), lambda n: "/" + "c" * (n - 1), 4096),
    "proxy": (("providers", "openai", "proxy"), lambda n: "http://u:" + "p" * (n - 11) + "@p", maximums.MAX_SECRET),
    "origin": (("cors", "origins"), lambda n: ["https://" + "o" * (n - 8)], 256),
    "admin's key": (("admin", "key"), lambda n: "k" * n, 512),
    "token of an admin": (("admin", "tokens"), lambda n: [{"name": "a", "token": "k" * n, "scope": "viewer"}], 512),
    "password of Redis": (("redis", "password"), lambda n: "p" * n, maximums.MAX_SECRET),
    "user of Redis": (("redis", "username"), lambda n: "u" * n, 4096),
    "URL of Redis": (("redis", "url"), lambda n: "redis://" + "h" * (n - 8), 4096),
    "endpoint of traces": (("tracing", "endpoint"), lambda n: "http://h/" + "x" * (n - 9), 4096),
    "prefix in Redis": (("redis", "prefix"), lambda n: "p" * n, 64),
    "key_secret": (("key_secret",), lambda n: "s" * n, 64),
    "name of a provider": (("providers",), lambda n: {"openai": {"key": "k"}, "p" * n: {
        "kind": "openai", "base_url": "http://localhost/v1"}}, 64),
}


# Names of what stands elsewhere, files that must be there, and what has but a few forms.
BOUND_ELSEWHERE = {"access_log.path", "listen_addr", "admin.listen_addr", "contract", "contract.openai",
                   "contract.anthropic",
                   "contract_files.0", "fallback.openai", "fallback.openai.0", "keys.0.expires", "keys.0.scopes.0",
                   "keys.0.allowed_addresses.0", "keys.0.denied_addresses.0", "keys.0.hours.0", "trusted_proxies.0",
                   "models.m.0.provider", "points.journals", "providers.openai.ca_bundle", "redis.ca_bundle",
                   "routes.openai", "store", "tracing.headers.openai", "cache_dir"}


def test_every_text_is_bounded() -> None:
    """Whatever text the shape lets in is tried below at its longest, or is one of few by nature."""
    tried = {".".join(map(str, at)) for at, _, _ in TEXTS.values()}
    texts = {".".join(map(str, at)) for at, shape in SHAPES
             if shape.get("type") == "string" and not shape.keys() & {"enum", "pattern", "const"}}
    assert {text for text in texts - BOUND_ELSEWHERE if not text.startswith(tuple(tried))} == set()


@pytest.mark.parametrize("text", TEXTS)
def test_texts_are_bounded(config: Config, text: str) -> None:
    """A text at its longest loads into a worker's tables; one character more is named at its place."""
    at, make, most = TEXTS[text]
    snapshot = config.load(json.dumps(placed(base(), at, make(most))))
    slab, registry = Slab(1), Registry()
    prepare(slab, registry, snapshot)
    worker.rehearse(slab, registry, snapshot)
    assert all(problem.key.startswith(str(at[0])) or text == "fallback"
               for problem in config.problems(json.dumps(placed(base(), at, make(most + 1)))))


def test_names_of_four_bytes_a_character_fit(config: Config) -> None:
    """The bound of a model's name counts characters, and holds for those that are longest as bytes."""
    snapshot = config.load(json.dumps(
        placed(base(), ("models", "m"), "openai/" + "\N{OX}" * maximums.MAX_MODEL), ensure_ascii=False))
    slab, registry = Slab(1), Registry()
    prepare(slab, registry, snapshot)
    worker.rehearse(slab, registry, snapshot)
