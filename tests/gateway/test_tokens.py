"""Limits of requests and tokens in a minute: a key's, a model's and the gateway's, reserved and settled."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.gateway import client
from tests.gateway.check import check
from tests.gateway.client import SURFACES, ask, post, receive
from tests.gateway.minute import LIMIT, left, used
from tests.gateway.script import Script, answer, completion
from tests.simulator.wire import Wire
from tests.support.gateway import Gateway

NONE = {"requests_per_second": 0}
Start = Callable[..., Gateway]
TOKENS = [("tokens_per_minute", "tokens"), ("input_tokens_per_minute", "input_tokens"),
          ("output_tokens_per_minute", "output_tokens")]


@pytest.mark.parametrize(("setting", "kind"), TOKENS)
def test_tokens_are_settled(limited: Callable[..., Gateway], setting: str, kind: str) -> None:
    """What an answer has used is missing from the minute, to the token, whatever was reserved; the rest is back."""
    gateway = limited({setting: LIMIT})
    begun = time.monotonic()
    spent = 0
    for most in (None, 1, 500):
        more = {} if most is None else {"max_tokens": most}
        found = ask(gateway.port, post("openai", spec="tokens=40", **more))
        assert found.status == 200
        spent += used(found)[kind]
    rest = left(gateway, kind)
    back = (time.monotonic() - begun) * LIMIT / 60 + 1
    assert LIMIT - spent <= rest <= min(LIMIT, LIMIT - spent + back)


@pytest.mark.parametrize("surface", SURFACES)
def test_a_debt_refuses_until_it_is_paid(limited: Callable[..., Gateway], surface: str) -> None:
    """An answer may use more than is left; then the key is refused for as long as Retry-After truly says."""
    gateway = limited({"tokens_per_minute": LIMIT})
    assert ask(gateway.port, post(surface, spec=f"tokens={LIMIT + 20}", max_tokens=1000)).status == 200
    gateway.wait(lambda: gateway.metric("edge_requests_in_flight") == 0)
    found = ask(gateway.port, post(surface))
    check(found, surface, surface, "rate_limited")
    assert found.fields["x-ratelimit-limit"] == str(LIMIT)
    wait = int(found.fields["retry-after"])
    assert 2 <= wait <= 15
    time.sleep(wait)                # it is the promise itself that is measured
    assert ask(gateway.port, post(surface, spec="tokens=1")).status == 200


def test_tokens_are_reserved(limited: Callable[..., Gateway], script: Script) -> None:
    """What a request may use is gone while it is on its way, and comes back with an answer that used less."""
    gateway = limited({"tokens_per_minute": LIMIT})
    with Wire(gateway.port) as wire:
        wire.send(post("openai", model="scripted", max_tokens=LIMIT))
        meeting = script.meet()
        meeting.asked()
        check(ask(gateway.port, post("openai")), "openai", "openai", "rate_limited")
        meeting.send(answer(completion(usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})))
        assert client.read(wire.answer()).status == 200
    assert left(gateway) >= LIMIT - 5
    assert ask(gateway.port, post("openai", max_tokens=20)).status == 200


def test_time_does_not_bring_back_what_is_reserved(limited: Callable[..., Gateway], script: Script) -> None:
    """While a request may use all of a minute nobody else has any of it, however long it lasts; then they have the
    rest, and not that beside what time has brought."""
    gateway = limited({"tokens_per_minute": 10 * LIMIT})
    with Wire(gateway.port) as wire:
        wire.send(post("openai", model="scripted", max_tokens=10 * LIMIT))
        meeting = script.meet()
        meeting.asked()
        time.sleep(1)               # in which a hundred tokens come back to a minute that has room for them
        check(ask(gateway.port, post("openai", max_tokens=20)), "openai", "openai", "rate_limited")
        meeting.send(answer(completion(usage={"prompt_tokens": 2000, "completion_tokens": 2000,
                                              "total_tokens": 4000})))
        assert client.read(wire.answer()).status == 200
    begun = time.monotonic()
    rest = left(gateway)
    assert 10 * LIMIT - 4000 <= rest <= 10 * LIMIT - 4000 + (time.monotonic() - begun + 0.5) * LIMIT / 6


@pytest.mark.parametrize("spec", ["status=500", "status=400", "status=429", "error-in-200", "redirect"])
def test_failures_use_nothing(limited: Callable[..., Gateway], spec: str) -> None:
    """A request that the provider has refused gives back all that it reserved."""
    gateway = limited({"tokens_per_minute": LIMIT}, retry={"max": 0}, circuit_breaker={"enabled": False})
    for _ in range(3):
        assert ask(gateway.port, post("openai", spec=spec, max_tokens=400)).fields["x-edge-condition"] != "rate_limited"
    assert left(gateway) == LIMIT


def test_what_may_be_done_stays_spent(limited: Callable[..., Gateway]) -> None:
    """Where nobody knows whether the provider has done the work, what was reserved is not given back."""
    gateway = limited({"tokens_per_minute": LIMIT})
    assert ask(gateway.port, post("openai", spec="cut=0", max_tokens=300)).status == 502
    assert left(gateway) <= LIMIT - 250


def test_a_stream_that_its_client_leaves(limited: Callable[..., Gateway]) -> None:
    """A client that leaves a stream has used what has come until then, and the rest of its reservation is back."""
    gateway = limited({"output_tokens_per_minute": LIMIT})
    with Wire(gateway.port) as wire:
        receive(wire.send(post("openai", stream=True, spec="tokens=400;stall=30", max_tokens=LIMIT)), b"data: ")
    gateway.wait(lambda: gateway.metric("edge_requests_total", condition="client_closed") == 1)
    assert LIMIT // 2 < left(gateway, "output_tokens") <= LIMIT


@pytest.mark.parametrize("contract", ["openai", "tokenpak", "tokenbay", "generic"])
def test_a_models_limit(start: Start, contract: str) -> None:
    """A model's requests are limited for all keys together, others' are not, and the refusal is in contract."""
    with start(contract=contract, model_limits={"sim-*": {"requests_per_minute": 2}}) as gateway:
        for surface in SURFACES:
            assert ask(gateway.port, post(surface, model="sim-one")).status == 200
        for surface in SURFACES:
            found = ask(gateway.port, post(surface, model="sim-two"))
            check(found, contract, surface, "model_rate_limited")
            assert found.fields["x-ratelimit-limit"] == "2" and 1 <= int(found.fields["retry-after"]) <= 30
            assert ask(gateway.port, post(surface, model="alias")).status == 200
        assert gateway.metric("edge_limiter_decisions_total", decision="refused_model") == 2


def test_the_gateways_tokens(start: Start) -> None:
    """The gateway's tokens are those of all keys together; a refusal takes nothing from the key."""
    with start(rate_limit={"requests_per_second": 0, "tokens_per_minute": LIMIT}) as gateway:
        assert ask(gateway.port, post("openai", spec=f"tokens={LIMIT}")).status == 200
        gateway.wait(lambda: gateway.metric("edge_requests_in_flight") == 0)
        check(ask(gateway.port, post("openai")), "openai", "openai", "global_rate_limited")


def test_a_shadow_refuses_nobody(limited: Callable[..., Gateway]) -> None:
    """A limit in shadow lets all pass, says nothing of itself, and counts what it would have refused."""
    gateway = limited({"requests_per_minute": 1, "tokens_per_minute": 100, "shadow": True}, rate_limit=NONE)
    for _ in range(4):
        found = ask(gateway.port, post("openai", spec="tokens=40", max_tokens=60))
        assert found.status == 200 and "x-ratelimit-limit" not in found.fields
    assert gateway.metric("edge_limiter_decisions_total", decision="shadowed") >= 3


@pytest.mark.parametrize(("limits", "words"), [
    ({"tokens_per_minute": 0}, "tokens_per_minute"), ({"tokens_per_minute": -1}, "tokens_per_minute"),
    ({"requests_per_minute": 1.5}, "requests_per_minute"), ({"tokens_per_hour": 1}, "tokens_per_hour"),
    ({"shadow": 3}, "shadow"), ({}, "has no requests_per_second"), ({"shadow": True}, "has no requests_per_second"),
    ({"burst_size": 5, "tokens_per_minute": 9}, "has no requests_per_second"),
])
def test_wrong_limits_are_told(limited: Callable[..., Gateway], limits: dict[str, Any], words: str) -> None:
    """A number that is none of a limit's is an error that names its key."""
    with pytest.raises(AssertionError, match=words):
        limited(limits)


def test_a_limit_of_no_model_is_told(start: Start) -> None:
    """A limit whose model is not there would limit nobody, and is an error that names a model like it."""
    with pytest.raises(AssertionError, match=r"(?s)model_limits\.aliass: there is no model aliass.*alias\?"):
        start(model_limits={"aliass": {"requests_per_minute": 1}}).__enter__()


def test_json_of_stats(limited: Callable[..., Gateway]) -> None:
    """A key sees what is left of each of its limits of a minute."""
    gateway = limited({"requests_per_minute": 5, "tokens_per_minute": LIMIT})
    told = json.loads(ask(gateway.port, client.request(path="/stats", method="GET")).body)
    assert set(told["minute"]) == {"requests", "tokens"} and told["minute"]["requests"]["limit"] == 5
