"""What an outage costs the provider: calls that reach it for each attempt that the clients' SDKs make.

`python -m tests.faults.multiplied` lets both SDKs at their default settings (two retries of their own) ask for what a
provider answers with 503 every time. Exit code 1: a promise was broken.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import openai

from tests.faults.load import progress, table, verdict
from tests.support.gateway import KEY, Gateway, configuration
from tests.support.simulator import Simulator

MOST = 1.1              # calls for each attempt of a client
MESSAGES: Any = [{"role": "user", "content": "hello"}]
SETTINGS: dict[str, dict[str, Any]] = {
    "as configured by default": {}, "without circuit breakers": {"circuit_breaker": {"enabled": False}}}


def ask_openai(gateway: Gateway) -> None:
    """One call of OpenAI's SDK."""
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY) as client, contextlib.suppress(openai.APIError):
        client.chat.completions.create(model="m", messages=MESSAGES)


def ask_anthropic(gateway: Gateway) -> None:
    """One call of Anthropic's SDK."""
    with anthropic.Anthropic(base_url=gateway.url, api_key=KEY) as client, contextlib.suppress(anthropic.APIError):
        client.messages.create(model="m", max_tokens=9, messages=MESSAGES)


def measure(settings: dict[str, Any], ask: Callable[[Gateway], None], calls: int, at_once: int) -> tuple[int, int]:
    """Attempts that came to the gateway, and calls that came to the provider."""
    with Simulator() as provider, Gateway(configuration(provider.url, workers=2, retry={}, **settings)) as gateway:
        provider.fault("status=503")
        with ThreadPoolExecutor(at_once) as clients:
            list(clients.map(ask, [gateway] * calls))
        return round(gateway.metric("edge_requests_total")), provider.state(0)["requests"]


def main() -> int:
    """Both SDKs, with circuit breakers and without."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=150, help="of each SDK")
    parser.add_argument("--at-once", type=int, default=25)
    given = parser.parse_args()
    rows, promises = [], []
    for setting, changes in SETTINGS.items():
        for name, ask in (("openai", ask_openai), ("anthropic", ask_anthropic)):
            progress(f"{name}'s SDK, {setting}")
            attempts, calls = measure(changes, ask, given.calls, given.at_once)
            rows.append([name, setting, str(given.calls), str(attempts), str(calls), f"{calls / attempts:.2f}"])
            promises.append((f"{name}, {setting}: at most {MOST} calls for each attempt: {calls / attempts:.2f}",
                             calls <= MOST * attempts))
    table(["SDK", "gateway", "calls of clients", "their attempts", "calls to the provider", "ratio"], rows)
    return verdict(promises)


if __name__ == "__main__":
    sys.exit(main())
