"""A key of the file does something: with another value another Snapshot comes out."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import orjson
import pytest
import trustme

from edge.config import ConfigError
from edge.values.snapshot import Snapshot
from tests.config.conftest import Config
from tests.config.test_words import PLACES

NAME = "some-name"          # of test_words' places
OTHER = {"kind": "openai", "base_url": "http://127.0.0.1:3/v1"}
BASE: dict[str, Any] = {
    "port": 8000, "listen_addr": "127.0.0.1", "access_log": {"path": "-"}, "rate_limit": {},
    "tracing": {"endpoint": "http://127.0.0.1:4318/v1/traces"}, "redis": {"url": "rediss://redis.internal"},
    "providers": {NAME: {"kind": "openai", "base_url": "http://127.0.0.1:1/v1", "key": "env:OPENAI_API_KEY",
                         "health_check": {"path": "/"}}, "other": OTHER},
    "models": {"model": "other", NAME: [{"provider": NAME}]}, "model_limits": {NAME: {"requests_per_second": 1}},
    "trusted_proxies": ["192.0.2.0/24"], "store": "edge.db", "prices": {NAME: {"input": 1}},
    "points": {"worth": 5},
    "contract": {"anthropic": "generic"}, "cache_max_size": "1GB",
    "keys": [{"name": "a", "key": "env:KEY_A", "rate_limit": {"requests_per_second": 1}},
             {"name": "b", "key": "env:KEY_B"}],
    "admin": {"tokens": [{"name": "t", "token": "env:KEY_B", "scope": "owner"}]},
}
# What is tried for a key, one after the other, until one is taken and makes a difference: values, then sections.
VALUES: tuple[Any, ...] = (
    True, False, 2, 7, 300, 5000, 10000, 0.25, "other", "anthropic", "low", "mask", "gateway", "refuse", "tokenpak",
    "x-one", "/x", "::1", "2030-01-01",
    "http://127.0.0.1:2/v1", "env:KEY_C", "ca.pem", "blake2b:" + "1" * 64, ["env:KEY_C"],
    300_000, ["x"], [NAME], ["chat"], ["10.0.0.0/8"], ["sat 10:00-11:00"],
    "frozen", ["mine.yaml"], {"x-one": "1"}, {"/v1/x": "other"},
    {"path": "/x"}, {"first_byte": 1}, {"max": 1}, {"enabled": False}, {"origins": ["*"]}, {"queue_size": 1},
    {"connections": 1}, {"openai": "tokenpak"}, {"port": 1}, {"requests_per_second": 2},
    {"model": {"requests_per_second": 2}}, {"model": ["other/x"]}, "closed", 0.1, "redis://other", {"url": "redis://b"},
    "console", {"ok": 0.5}, "viewer", [{"name": "t", "token": "env:KEY_C", "scope": "viewer"}],
    "http://127.0.0.1:4319/v1/traces", {"endpoint": "http://127.0.0.1:4319/v1/traces"},
    "2GB", "cached", "EUR", {"worth": 1}, {NAME: {"output": 1}}, {NAME: "openai"},
    403, {NAME: {"enabled": False}}, {"memory": 0.5},
    {NAME: ["other/x"]}, [{"name": "c", "key": "env:KEY_C"}], ["http://a.example"], {NAME: OTHER, "other": OTHER})
ENVIRON = {"KEY_B": "sk-b123456789abcdefghij", "KEY_C": "sk-c123456789abcdefghij"}
EXCLUDE = {"key": ("keys", "hash"), "keys": ("key",), "hash": ("key",)}     # keys that stand for each other


def written(path: tuple[Any, ...], value: Any) -> str:
    """The base as a text (JSON is YAML), with a value at a place."""
    made = copy.deepcopy(BASE)
    node: Any = made
    for step in path[:-1]:
        node = node.setdefault(step, {}) if isinstance(node, dict) else node[step]
    for other in EXCLUDE.get(path[-1], ()):
        node.pop(other, None)
    node[path[-1]] = value
    return orjson.dumps(made).decode()


def differs(config: Config, path: tuple[Any, ...], value: Any, before: Snapshot) -> bool:
    """Whether the value is taken, and something else comes out."""
    try:
        after = config.load(written(path, value), ENVIRON)
    except ConfigError:
        return False
    return replace(after, warnings=()) != replace(before, warnings=())


@pytest.mark.parametrize("path", [path for path in PLACES if path[-1] not in (0, NAME)],
                         ids=lambda path: ".".join(map(str, path)))
def test_every_key_has_an_effect(config: Config, path: tuple[Any, ...]) -> None:
    """There is a value of the key, beside what is enough, that changes what the processes get."""
    (config.folder / "cached").mkdir()
    config.write("name: mine\nbase: openai\n", "mine.yaml")
    trustme.CA().cert_pem.write_to_path(str(config.folder / "ca.pem"))
    before = config.load(orjson.dumps(BASE).decode(), ENVIRON)
    assert any(differs(config, path, value, before) for value in VALUES)
