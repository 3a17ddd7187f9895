"""No configuration at all: what is fronted, and what a new user is told."""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import replace

import pytest

from edge.cli import quickstart
from edge.config import ConfigError
from edge.config.keys import digest
from edge.values.snapshot import Model, Target


@pytest.mark.parametrize(("environ", "expected"), [
    ({"OPENAI_API_KEY": "a"}, [("openai", "https://api.openai.com/v1", "a")]),
    ({"ANTHROPIC_API_KEY": "b"}, [("anthropic", "https://api.anthropic.com", "b")]),
    ({"OPENAI_API_KEY": "a", "ANTHROPIC_API_KEY": "b", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
      "ANTHROPIC_BASE_URL": "http://127.0.0.1:2"},
     [("openai", "http://127.0.0.1:1/v1", "a"), ("anthropic", "http://127.0.0.1:2", "b")]),
])
def test_providers_of_the_environment(environ: dict[str, str], expected: list[tuple[str, str, str]]) -> None:
    """The providers whose keys are in the environment are fronted, at the addresses that their SDKs would use."""
    snapshot, key, simulate = quickstart.snapshot(environ)
    assert [(p.kind, p.base_url, p.keys[0].reveal()) for p in snapshot.providers] == expected
    assert not simulate and not quickstart.simulates(environ)
    assert [entry.digest for entry in snapshot.keys] == [digest(key, None)]


def test_simulator() -> None:
    """Without a provider's key both dialects lead to the simulator, past any proxy."""
    snapshot, _, simulate = quickstart.snapshot({"ALL_PROXY": "http://proxy:1"}, 4567)
    assert simulate and quickstart.simulates({"OPENAI_API_KEY": ""})
    assert [(p.kind, p.base_url, p.keys, p.proxy) for p in snapshot.providers] == [
        ("openai", "http://127.0.0.1:4567/v1", (), None), ("anthropic", "http://127.0.0.1:4567", (), None)]
    assert snapshot.models == (Model("*", (Target("openai"), Target("anthropic", priority=1))),)
    assert (snapshot.port, snapshot.listen_addr, snapshot.warnings) == (8766, "127.0.0.1", ())


def test_variables_apply() -> None:
    """EDGE_ variables apply as they do to a file, and their errors are told; flags win."""
    snapshot, key, _ = quickstart.snapshot(
        {"EDGE_PORT": "9", "EDGE_KEY_SECRET": "0123456789abcdef", "EDGE_WORKERS": "1"}, 1, overrides={"workers": 2})
    assert (snapshot.port, snapshot.workers) == (9, 2)
    assert snapshot.keys[0].digest == digest(key, snapshot.key_secret) != digest(key, None)
    with pytest.raises(ConfigError, match="EDGE_PROT"):
        quickstart.snapshot({"EDGE_PROT": "9"}, 1)


def test_every_key_is_another() -> None:
    """Each run has a key of its own."""
    assert quickstart.snapshot({}, 1)[1] != quickstart.snapshot({}, 1)[1]


@pytest.mark.parametrize("environ", [{}, {"OPENAI_API_KEY": "sk-real"}, {"ANTHROPIC_API_KEY": "sk-real"}])
def test_banner(environ: dict[str, str]) -> None:
    """The banner has the key, curl lines that a shell reads and snippets that Python reads, and no provider's key."""
    snapshot, key, simulate = quickstart.snapshot(environ, 4567)
    banner = quickstart.banner(replace(snapshot, port=1234, listen_addr="0.0.0.0"), key, simulate)
    assert "sk-real" not in banner and ("a simulator" in banner) == (not environ)
    for kind in {provider.kind for provider in snapshot.providers}:
        path = "/v1/chat/completions" if kind == "openai" else "/v1/messages"
        [curl] = [found for found in re.findall(r"^curl (?:.*\\\n)+.*", banner, re.M) if f"{path} " in found]
        words = shlex.split(curl)
        assert f"http://127.0.0.1:1234{path}" in words and f"Authorization: Bearer {key}" in words
        snippet = re.search(rf"^from {kind} import .*?\n\n", banner, re.M | re.S)
        assert snippet and key in snippet[0] and ast.parse(snippet[0])
