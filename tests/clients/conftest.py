"""Real clients, a gateway, and a simulator behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.clients.driver import Driver
from tests.support.gateway import KEY, Gateway, configuration
from tests.support.simulator import Simulator

PROVIDER_KEY = "sk-provider"
TOKENS = 64                 # of an answer: enough for a fault in the middle of a stream
IDLE = 0.5                  # seconds: what the provider of `hasty-*` may be silent for
MODELS = {"chat": "gpt-4o", "responses": "gpt-4o", "messages": "claude-opus-4-6"}
WAYS = [(client, surface) for client, surfaces in {
    "openai": ("chat", "responses"), "anthropic": ("messages",), "ai": ("chat", "responses", "messages"),
    "openai-py": ("chat", "responses"), "anthropic-py": ("messages",),
    "litellm-py": ("chat", "responses", "messages"), "langchain-py": ("chat", "responses", "messages"),
}.items() for surface in surfaces]
# Their authors let these send a request once, whatever they are told.
ONCE = [("litellm-py", "responses"), ("litellm-py", "messages")]
# These obey x-should-retry.
HEEDING = [way for way in WAYS if way[0] in ("openai", "anthropic", "openai-py", "anthropic-py", "langchain-py")]


@dataclass
class Way:
    """One client on one surface, at the running gateway."""

    driver: Driver
    surface: str
    gateway: Gateway
    simulator: Simulator

    @property
    def base(self) -> str:
        """The base URL as the client's documentation has it: Anthropic's clients add /v1, but for AI SDK's."""
        bare = self.surface == "messages" and self.driver.client != "ai"
        return self.gateway.url if bare else f"{self.gateway.url}/v1"

    @property
    def once(self) -> bool:
        """Whether this client never sends a request again."""
        return (self.driver.client, self.surface) in ONCE

    @property
    def heeds(self) -> bool:
        """Whether this client obeys x-should-retry."""
        return (self.driver.client, self.surface) in HEEDING

    def __call__(self, fault: str | None = None, **ask: Any) -> dict[str, Any]:
        """What became of a request; `fault` is the provider's, `ask` replaces what is sent."""
        headers = {"x-simulate": fault} if fault else {}
        return self.driver.ask(self.surface, {
            "base": self.base, "key": KEY, "model": MODELS[self.surface], "prompt": "hello", "retries": 0,
            "stream": False, "tool": False, "headers": headers, **ask})

    def sent(self) -> int:
        """How many requests have reached the provider."""
        return len(self.simulator.requests())


@pytest.fixture(scope="session")
def running() -> Iterator[Simulator]:
    """The simulator's process. It knows one key, so that the client's own never gets through."""
    with Simulator(key=PROVIDER_KEY, tokens=TOKENS) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Iterator[Simulator]:
    """A simulator without faults, requests or files."""
    running.reset()
    yield running
    running.reset()


def settings(simulator: Simulator, **changes: Any) -> dict[str, Any]:
    """A configuration with a provider of each dialect, and a second one that may not be silent for long."""
    config = configuration(simulator.url, **changes)
    hasty = {f"hasty-{name}": {**provider, "timeouts": {"idle": IDLE}}
             for name, provider in config["providers"].items()}
    config["models"] = {"hasty-*": list(hasty), "claude-*": "anthropic", "gpt-*": "openai",
                        "*": ["openai", "anthropic"]}
    config["providers"] |= hasty
    return config


@pytest.fixture(scope="session")
def gateway(running: Simulator) -> Iterator[Gateway]:
    """A gateway that tries once, so that the client itself sees a failure."""
    with Gateway(settings(running), environ={"PROVIDER_KEY": PROVIDER_KEY}) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def stock(running: Simulator) -> Iterator[Gateway]:
    """A gateway that tries again as it does where nothing is said."""
    config = settings(running)
    del config["retry"]
    with Gateway(config, environ={"PROVIDER_KEY": PROVIDER_KEY}) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def drivers() -> Iterator[Callable[[str], Driver]]:
    """The process of each client, once."""
    found: dict[str, Driver] = {}
    yield lambda client: found.setdefault(client, Driver(client))
    for driver in found.values():
        driver.close()


@pytest.fixture(params=WAYS, ids=[f"{client}-{surface}" for client, surface in WAYS])
def way(request: pytest.FixtureRequest, gateway: Gateway, simulator: Simulator,
        drivers: Callable[[str], Driver]) -> Way:
    """Each client on each of its surfaces."""
    client, surface = request.param
    return Way(drivers(client), surface, gateway, simulator)
