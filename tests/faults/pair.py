"""A gateway that has two providers of each dialect: `first` is preferred, `second` stands in for it."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any

import httpx2 as httpx

from tests.support.gateway import Gateway, configuration
from tests.support.simulator import Simulator

MESSAGES = [{"role": "user", "content": "hello"}]
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


class Pair:
    """Context manager. `both` is served by first and second, `lone` by first alone."""

    def __init__(self, first: Simulator, second: Simulator) -> None:
        self.first, self.second = first, second
        self._stack = ExitStack()

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stack.close()

    def edge(self, *, provider: dict[str, Any] | None = None, environ: dict[str, str] | None = None,
             **changes: Any) -> Gateway:
        """A gateway; `provider` is added to each provider's section, `changes` to the file."""
        sections = {}
        for name, simulator in (("first", self.first), ("second", self.second)):
            for kind, url in (("openai", simulator.openai_url), ("anthropic", simulator.url)):
                sections[f"{name}-{kind}"] = {"kind": kind, "base_url": url, "keys": ["env:PROVIDER_KEY"],
                                              **(provider or {})}
        models = {"both": ["first-openai", "second-openai", "first-anthropic", "second-anthropic"],
                  "lone": ["first-openai", "first-anthropic"]}
        config = configuration("", **{"retry": {"backoff": 0.1}, "models": models, **changes})
        config["providers"] = {**sections, **changes.get("providers", {})}
        return self._stack.enter_context(Gateway(config, environ=environ))

    def calls(self) -> tuple[int, int]:
        """Requests that have reached each of the two."""
        return self.first.state(0)["requests"], self.second.state(0)["requests"]


def ask(edge: Gateway, model: str = "both", surface: str = "openai", fault: str | None = None,
        **more: Any) -> httpx.Response:
    """One request. `fault` is for every provider that it comes to; `headers` and members of the body in `more`."""
    headers = {"anthropic-version": "2023-06-01", **more.pop("headers", {})}
    if fault is not None:
        headers["x-simulate"] = fault
    with edge.client(headers=headers) as client:
        return client.post(PATHS[surface], json={"model": model, "max_tokens": 50, "messages": MESSAGES, **more})
