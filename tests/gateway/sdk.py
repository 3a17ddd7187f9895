"""What the tests of both SDKs share: one way to call the sync and the async client, and to watch their retries."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.gateway import Gateway
from tests.support.simulator import Simulator

ASKED = [{"role": "user", "content": "What is the capital of France?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
ARGUMENTS = {"city": "example", "days": 1}
LONGEST_WAIT = 60.0


async def done(value: Any) -> Any:
    """What a call of either client gives."""
    return await value if inspect.isawaitable(value) else value


async def all_of(stream: Any, seen: list[Any] | None = None) -> list[Any]:
    """All items of either kind of stream or page; in `seen` those that came before an exception."""
    items = [] if seen is None else seen
    stream = await done(stream)
    if hasattr(stream, "__aiter__"):
        async for item in stream:
            items.append(item)
    else:
        items.extend(iter(stream))
    return items


class Attempts:
    """Counts attempts; the SDK's waits are noted and not waited for."""

    def __init__(self, client: type, monkeypatch: pytest.MonkeyPatch, gateway: Gateway, simulator: Simulator) -> None:
        self.waits: list[float] = []
        self._gateway = gateway
        self._simulator = simulator
        calculate: Callable[..., float] = client._calculate_retry_timeout

        def note(*args: Any) -> float:
            self.waits.append(calculate(*args))
            return 0.0
        monkeypatch.setattr(client, "_calculate_retry_timeout", note)
        self._before = self._ended()

    def _ended(self) -> float:
        return self._gateway.metric("edge_requests_total")

    def at_gateway(self) -> int:
        """Requests that the gateway has ended."""
        return int(self._ended() - self._before)

    def at_provider(self) -> int:
        """Requests that reached the provider."""
        return len(self._simulator.requests())
