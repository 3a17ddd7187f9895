"""A gateway in front of a simulator, and in front of providers that the test itself plays byte by byte."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from edge.values.hours import DAYS
from tests.gateway.script import Script
from tests.support.gateway import Gateway, configuration
from tests.support.simulator import Simulator

# A window that is closed now, tomorrow and yesterday.
CLOSED = f"{DAYS[(datetime.now(UTC).weekday() + 3) % 7]} 10:00-11:00"
# Keys of which each can do one thing less; `planted` is what PLANTED looks for.
KEYS: dict[str, dict[str, Any]] = {
    "disabled": {"disabled": True},
    "frozen": {"state": "frozen"},
    "revoked": {"state": "revoked"},
    "suspended": {"state": "suspended"},
    "elsewhere": {"allowed_addresses": ["192.0.2.0/24", "2001:db8::/32"]},
    "not-here": {"denied_addresses": ["127.0.0.0/8", "::1"]},
    "sundays": {"hours": [CLOSED]},
    "expired": {"expires": "2020-01-01"},
    "chat-only": {"scopes": ["chat", "messages"]},
    "one-model": {"models": ["sim-allowed"]},
    "planted": {"models": ["planted"]},
    "low": {"priority": "low"},
    "single": {"rate_limit": {"concurrent_requests": 1}},
    "limited-openai": {"rate_limit": {"requests_per_second": 0.02, "burst_size": 1}},
    "limited-anthropic": {"rate_limit": {"requests_per_second": 0.02, "burst_size": 1}},
}
# A bug put into the gateway, as only one can make it fail inside: asked whether the key may use the model, it raises.
PLANTED = """
import sys
if "serve" in sys.argv:
    from edge.worker import tables
    matcher = tables.matcher
    def faulty(patterns):
        allows = matcher(patterns)
        return lambda name: 1 / 0 if name == "sim-planted" else allows(name)
    tables.matcher = faulty
"""
HASTY = 0.25        # seconds: the timeouts of the provider `hasty`


def key_of(name: str) -> str:
    """The key with a name of KEYS."""
    return f"sk-{name}-0123456789abcdef"


def providers(simulated: str, scripted: str, closed: str) -> dict[str, dict[str, Any]]:
    """Each provider twice, for each of the dialects: under its name, and with -a behind it."""
    known = {
        "sim": (simulated, {}),
        "hasty": (simulated, {"timeouts": {"first_byte": HASTY, "idle": HASTY}}),
        "brief": (simulated, {"timeouts": {"first_byte": 20, "idle": 20, "total": HASTY}}),
        "narrow": (simulated, {"max_connections": 1}),
        "scripted": (scripted, {"max_idle": 0}),
        "closed": (closed, {}),
    }
    return {
        f"{name}{mark}": {"kind": kind, "base_url": f"{url}{path}", "key": "env:PROVIDER_KEY", **settings}
        for name, (url, settings) in known.items()
        for mark, kind, path in (("", "openai", "/v1"), ("-a", "anthropic", ""))}


@pytest.fixture(scope="session")
def running() -> Iterator[Simulator]:
    """The simulator's process."""
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Iterator[Simulator]:
    """A simulator without faults, requests or files."""
    running.reset()             # not every test that sends requests looks at them
    yield running
    running.reset()


@pytest.fixture(scope="session")
def listener() -> Iterator[socket.socket]:
    """Where the gateway meets the provider that a test plays."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as sock:
        yield sock


@pytest.fixture
def script(listener: socket.socket) -> Iterator[Script]:
    """A provider played by the test: models that begin with `scripted`."""
    with Script(listener) as played:
        yield played


@pytest.fixture(scope="session")
def closed() -> Iterator[str]:
    """A URL whose port refuses connections, and is kept from others."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"


@pytest.fixture(scope="session")
def configure(running: Simulator, listener: socket.socket, closed: str) -> Callable[..., dict[str, Any]]:
    """Makes configurations of which all tests share the providers, models and keys; arguments replace the rest.

    With `models` None there are none: each name that begins with a provider's leads to it, all else to `sim`.
    """
    scripted = f"http://127.0.0.1:{listener.getsockname()[1]}"
    known = providers(running.url, scripted, closed)

    def make(**changes: Any) -> dict[str, Any]:
        bare = changes.pop("models", ()) is None
        config = configuration(running.url, **changes)
        config["providers"] = {
            name: {**settings, "models": [f"{name.removesuffix('-a')}*"]} if bare and "sim" not in name else settings
            for name, settings in known.items()}
        config["keys"] += [{"name": name, "key": f"env:KEY_{name.replace('-', '_').upper()}", **settings}
                           for name, settings in KEYS.items()]
        config["catalogue"] = {"sim-off": {"enabled": False}, "sim-chat": {"capabilities": ["chat"]}}
        config["routes"] = {"/v1/scripted*": "scripted", "/rerank": "scripted", "/v2/rerank*": "scripted"}
        if bare:
            return config
        config["models"] = {
            "alias": ["sim/gpt-4o", "sim-a/claude-opus-4-6"], "scripted-alias": "scripted/the \"real\" näme",
            "only-openai": "sim", "only-anthropic": "sim-a",
            **{f"{name}*": [name, f"{name}-a"] for name in ("hasty", "brief", "narrow", "scripted", "closed")},
            **{pattern: ["sim", "sim-a"] for pattern in ("sim-*", "gpt-*", "claude-*", "fault:*", "text-*")}}
        return config
    return make


@pytest.fixture(scope="session")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The keys, and the planted bug."""
    folder = tmp_path_factory.mktemp("planted")
    (folder / "sitecustomize.py").write_text(PLANTED)
    # In front of what there is: the planted module imports edge before Python puts the working directory on its path.
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    return {"PYTHONPATH": path, **{f"KEY_{name.replace('-', '_').upper()}": key_of(name) for name in KEYS}}


@pytest.fixture(scope="session")
def start(configure: Callable[..., dict[str, Any]], environ: dict[str, str]) -> Callable[..., Gateway]:
    """Makes a gateway of one's own, for tests that would disturb others; to be entered."""
    return lambda **changes: Gateway(configure(**changes), environ=environ)


@pytest.fixture
def limited(configure: Callable[..., dict[str, Any]], environ: dict[str, str]) -> Iterator[Callable[..., Gateway]]:
    """Starts gateways whose first key has these limits."""
    with ExitStack() as stack:
        def begin(limits: dict[str, Any], **changes: Any) -> Gateway:
            config = configure(**changes)
            config["keys"][0]["rate_limit"] = limits
            return stack.enter_context(Gateway(config, environ=environ))
        yield begin


@pytest.fixture(scope="module")
def serving(start: Callable[..., Gateway]) -> Iterator[Callable[..., Gateway]]:
    """Gives the one gateway for these settings, which runs until the last test of a file has ended."""
    with ExitStack() as stack:
        found: dict[str, Gateway] = {}

        def get(**changes: Any) -> Gateway:
            name = repr(sorted(changes.items()))
            if name not in found:
                found[name] = stack.enter_context(start(**changes))
            return found[name]
        yield get


@pytest.fixture(scope="module")
def gateway(serving: Callable[..., Gateway]) -> Gateway:
    """The gateway as it is without settings: each surface in its own dialect."""
    return serving()
