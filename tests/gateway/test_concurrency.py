"""Limits of concurrent requests: how they refuse in each contract, and what is told of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.gateway import client
from tests.gateway.answers import CONTRACTS
from tests.gateway.check import check
from tests.gateway.client import SURFACES, ask, post, receive
from tests.simulator.wire import Wire
from tests.support.gateway import Gateway

Start = Callable[..., Gateway]
ONE = {"concurrent_requests": 1}
RATE = {"requests_per_second": 1000, "burst_size": 1000}
HELD = "tokens=20;stall=1"


@pytest.fixture
def limiting(configure: Callable[..., dict[str, Any]], environ: dict[str, str]) -> Start:
    """Makes gateways on which the key, the model or the whole has this limit; to be entered."""
    def make(owner: str, limit: dict[str, Any], **changes: Any) -> Gateway:
        config = configure(**{"rate_limit": RATE, **changes})
        if owner == "key":
            config["keys"][0]["rate_limit"] = limit
        elif owner == "model":
            config["model_limits"] = {"sim-*": limit}
        else:
            config["rate_limit"] = {**RATE, **limit}
        return Gateway(config, environ=environ)
    return make


OWNERS = {"key": "concurrency_limited", "model": "model_concurrency_limited", "gateway": "global_concurrency_limited"}


def stats(gateway: Gateway) -> dict[str, Any]:
    """What a key is told."""
    found: dict[str, Any] = json.loads(ask(gateway.port, client.request(path="/stats", method="GET")).body)
    return found


@pytest.mark.parametrize("contract", CONTRACTS)
@pytest.mark.parametrize("owner", OWNERS)
def test_too_many_at_once(limiting: Start, owner: str, contract: str) -> None:
    """While a stream holds the only place others are refused in contract, to come in a second; then the next is served,
    and fields of rate limits are those of the rate limit."""
    with limiting(owner, ONE, contract=contract) as gateway:
        for surface in SURFACES:
            with Wire(gateway.port) as wire:
                receive(wire.send(post(surface, stream=True, spec=HELD)), b"data: ")
                found = ask(gateway.port, post(surface, spec="status=500"))
                check(found, contract, surface, OWNERS[owner], {"retry_after": "1"})
                assert found.fields["x-ratelimit-limit"] == "1000"
                assert int(found.fields["x-ratelimit-remaining"]) > 990
            gateway.wait(lambda: gateway.metric("edge_requests_in_flight") == 0)
            assert ask(gateway.port, post(surface)).status == 200
        decision = f"refused_{owner}"
        assert gateway.metric("edge_limiter_decisions_total", decision=decision) == 2
        assert gateway.metric("edge_requests_total", condition=OWNERS[owner]) == 2


def test_a_refusal_takes_nothing(limiting: Start) -> None:
    """Whom the gateway's limit refuses holds no place of the key's and has used none of its requests."""
    limit = {"requests_per_minute": 100, "concurrent_requests": 2}
    with limiting("key", limit, rate_limit={**RATE, **ONE}) as gateway, Wire(gateway.port) as wire:
        receive(wire.send(post("openai", stream=True, spec=HELD)), b"data: ")
        for _ in range(5):
            check(ask(gateway.port, post("openai")), "openai", "openai", "global_concurrency_limited")
        told = stats(gateway)
        assert told["concurrent_requests"] == {"limit": 2, "left": 1}
        assert told["minute"]["requests"]["left"] >= 99


@pytest.mark.parametrize(("rate", "condition", "least"), [
    ({"requests_per_minute": 1}, "rate_limited", 30), ({"requests_per_second": 2}, "concurrency_limited", 1)])
def test_the_longest_wait_is_told(limiting: Start, rate: dict[str, Any], condition: str, least: int) -> None:
    """Of a rate and too many at once that which lasts longer is told; of the latter nobody knows, and it counts a
    second."""
    with limiting("key", ONE | rate, rate_limit={"requests_per_second": 0}) as gateway, Wire(gateway.port) as wire:
        receive(wire.send(post("openai", stream=True, spec=HELD)), b"data: ")
        ask(gateway.port, post("openai"))
        found = ask(gateway.port, post("openai"))
        check(found, "openai", "openai", condition)
        assert least <= int(found.fields["retry-after"]) <= max(60 * (least - 1), 1)


def test_a_shadow_refuses_nobody(limiting: Start) -> None:
    """In shadow all are served; what would be refused is counted, and holds no place, as if it had been."""
    with limiting("key", {**ONE, "shadow": True}) as gateway, Wire(gateway.port) as wire:
        receive(wire.send(post("openai", stream=True, spec=HELD)), b"data: ")
        for _ in range(3):
            assert ask(gateway.port, post("openai")).status == 200
        assert gateway.metric("edge_limiter_decisions_total", decision="shadowed") == 3
        assert stats(gateway)["concurrent_requests"] == {"limit": 1, "left": 0}
        wire.socket.close()
        gateway.wait(lambda: stats(gateway)["concurrent_requests"]["left"] == 1)


def test_what_is_told(limiting: Start) -> None:
    """Keys see what is left to them, the admin port all, and metrics the gateway's and the models'."""
    with limiting("key", {"concurrent_requests": 3}, rate_limit={**RATE, "concurrent_requests": 5},
                  model_limits={"sim-*": {"concurrent_requests": 4}}) as gateway, Wire(gateway.port) as wire:
        receive(wire.send(post("openai", stream=True, spec=HELD)), b"data: ")
        assert stats(gateway)["concurrent_requests"] == {"limit": 3, "left": 2}
        with gateway.client() as asking:
            told = asking.get(f"{gateway.admin}/stats").json()["concurrent_requests"]
        assert told == {"gateway": {"limit": 5, "left": 4}, "key:test": {"limit": 3, "left": 2},
                        "model:sim-*": {"limit": 4, "left": 3}, "key:single": {"limit": 1, "left": 1}}
        assert gateway.metric("edge_concurrent_requests_left", owner="gateway") == 4
        assert gateway.metric("edge_concurrent_requests_left", owner="model:sim-*") == 3
        assert gateway.metric("edge_concurrent_requests_left", owner="key:test") == 0


def test_a_limit_that_binds_is_named(limiting: Start) -> None:
    """The log says once that the gateway's own limit binds, and what it is called in the configuration."""
    with limiting("gateway", ONE) as gateway, Wire(gateway.port) as wire:
        receive(wire.send(post("openai", stream=True, spec=HELD)), b"data: ")
        for _ in range(3):
            assert ask(gateway.port, post("openai")).status == 429
        told = [line["limit"] for line in gateway.log_lines() if line["message"] == "limit reached"]
        assert told == ["rate_limit.concurrent_requests"]


@pytest.mark.parametrize("value", [0, -1, 1.5, "many", True, 1 << 31])
@pytest.mark.parametrize("owner", OWNERS)
def test_wrong_numbers_are_told(limiting: Start, owner: str, value: Any) -> None:
    """What is no number of requests is an error that names its place in the file and the way out."""
    place = {"key": r"keys\[0\]\.rate_limit", "model": r"model_limits\.sim-\*", "gateway": "rate_limit"}[owner]
    with pytest.raises(AssertionError, match=rf"edge\.yaml:\d+:\d+: CONFIG_003 {place}\.concurrent_requests: must be"):
        limiting(owner, {"concurrent_requests": value}).__enter__()
