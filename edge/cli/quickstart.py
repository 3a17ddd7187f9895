"""No configuration at all: the providers whose keys are in the environment, or the simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge.config import MISSING, ConfigError, Place, keys
from edge.config.layers import Layers
from edge.config.reading import DEFAULT_PORT, assemble
from edge.dialects.kinds import BASE_URLS
from edge.net.addresses import url_of
from edge.values.snapshot import Key, Snapshot

_SOURCE = Place("quick start")
_MODELS = {"openai": "gpt-5-mini", "anthropic": "claude-haiku-4-5"}
_NO_FLAGS: Mapping[str, object] = {}


def simulates(environ: Mapping[str, str]) -> bool:
    """Whether there is no provider's key in the environment, so that a simulator is needed."""
    return not any(environ.get(f"{kind.upper()}_API_KEY") for kind in BASE_URLS)


def snapshot(environ: Mapping[str, str], simulator_port: int = 0, *,
             overrides: Mapping[str, object] = _NO_FLAGS) -> tuple[Snapshot, str, bool]:
    """The Snapshot, the gateway key it was made with, and whether its providers are the simulator.

    EDGE_ variables and flags apply as they do to a file. Raises ConfigError.
    """
    simulate = simulates(environ)
    layers = Layers(_SOURCE.source)
    layers.set(("port",), DEFAULT_PORT, _SOURCE)
    layers.set(("listen_addr",), "127.0.0.1", _SOURCE)
    layers.set(("providers",), _simulated(simulator_port) if simulate else _real(environ), _SOURCE)
    loaded = assemble(layers, Path(), overrides, environ, 1)
    problems = [problem for problem in loaded.problems if (problem.code, problem.key) != (MISSING, "keys")]
    if problems:
        raise ConfigError(problems)
    key = keys.generate()
    made = Key("quick-start", keys.digest(key, loaded.snapshot.key_secret))
    return replace(loaded.snapshot, keys=(*loaded.snapshot.keys, made)), key, simulate


def _real(environ: Mapping[str, str]) -> dict[str, Any]:
    """A provider for each key there is. The base URLs are the variables of the providers' own SDKs."""
    return {kind: {"kind": kind, "key": f"env:{kind.upper()}_API_KEY",
                   "base_url": environ.get(f"{kind.upper()}_BASE_URL") or base_url}
            for kind, base_url in BASE_URLS.items() if environ.get(f"{kind.upper()}_API_KEY")}


def _simulated(port: int) -> dict[str, Any]:
    url = f"http://127.0.0.1:{port}"
    return {"openai": {"kind": "openai", "base_url": f"{url}/v1"},
            "anthropic": {"kind": "anthropic", "base_url": url}}


def banner(snapshot: Snapshot, key: str, simulate: bool) -> str:
    """What a new user reads: the key, and lines that work as pasted."""
    kinds = [provider.kind for provider in snapshot.providers]
    url = url_of(snapshot.listen_addr, snapshot.port)
    behind = "a simulator: answers are made up, nothing is billed" if simulate else ", ".join(
        f"{provider.name} at {provider.base_url}" for provider in snapshot.providers)
    parts = [f"edge listens on {url}, in front of {behind}.\n"
             f"The gateway's key, made for this run:\n\n    {key}\n"]
    if "openai" in kinds:
        parts.append(_OPENAI.format(url=url, key=key, model=_MODELS["openai"]))
    if "anthropic" in kinds:
        parts.append(_ANTHROPIC.format(url=url, key=key, model=_MODELS["anthropic"]))
    parts.append("edge config init begins a configuration of your own; deploy/edge.example.yaml has every key.\n")
    return "\n".join(parts)


_OPENAI = """\
curl {url}/v1/chat/completions -H 'Authorization: Bearer {key}' \\
  -H 'Content-Type: application/json' \\
  -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'

from openai import OpenAI
client = OpenAI(base_url="{url}/v1", api_key="{key}")
print(client.chat.completions.create(
    model="{model}", messages=[{{"role": "user", "content": "Hello"}}]).choices[0].message.content)
"""

_ANTHROPIC = """\
curl {url}/v1/messages -H 'Authorization: Bearer {key}' \\
  -H 'Content-Type: application/json' -H 'anthropic-version: 2023-06-01' \\
  -d '{{"model": "{model}", "max_tokens": 100, "messages": [{{"role": "user", "content": "Hello"}}]}}'

from anthropic import Anthropic
client = Anthropic(base_url="{url}", api_key="{key}")
print(client.messages.create(
    model="{model}", max_tokens=100, messages=[{{"role": "user", "content": "Hello"}}]).content[0].text)
"""
