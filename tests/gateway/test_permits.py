"""What a permit takes of limits: all or none, no more than there can be, and for how long a refusal is true."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.gateway import client
from tests.gateway.check import check
from tests.gateway.client import ask, post, receive
from tests.gateway.minute import LIMIT, left
from tests.gateway.script import Script, answer, completion
from tests.simulator.wire import Wire
from tests.support.gateway import Gateway

Start = Callable[..., Gateway]
SHORT = {"requests_per_second": 1, "burst_size": 1}
LONG = {"tokens_per_minute": LIMIT}
NONE = {"requests_per_second": 0}
REFUSALS = {"key": "rate_limited", "model": "model_rate_limited", "gateway": "global_rate_limited"}


def owned(**limits: dict[str, Any]) -> dict[str, Any]:
    """The settings that give these limits to key, model and gateway."""
    return {"limits": limits.get("key", NONE), "rate_limit": limits.get("gateway", NONE),
            "model_limits": {"sim-*": limits["model"]} if "model" in limits else {}}


@pytest.mark.parametrize("short", REFUSALS)
@pytest.mark.parametrize("long", REFUSALS)
def test_the_longest_wait_is_told(limited: Start, short: str, long: str) -> None:
    """Of several limits that refuse a request the one that lasts longest is told, whosever it is: before it is over
    no other would help."""
    limits = {short: SHORT | LONG} if short == long else {short: SHORT, long: LONG | NONE}
    gateway = limited(**owned(**limits))
    assert ask(gateway.port, post("openai", spec=f"tokens={LIMIT + 200}")).status == 200
    gateway.wait(lambda: gateway.metric("edge_requests_in_flight") == 0)
    found = ask(gateway.port, post("openai"))
    check(found, "openai", "openai", REFUSALS[long])
    assert int(found.fields["retry-after"]) >= 20
    assert (found.fields["x-ratelimit-limit"], found.fields["x-ratelimit-remaining"]) == (str(LIMIT), "0")
    assert gateway.metric("edge_limiter_decisions_total", decision=f"refused_{long}") == 1


def leave(gateway: Gateway, script: Script, data: bytes) -> None:
    """The client goes while the provider works."""
    with Wire(gateway.port) as wire:
        wire.send(data)
        meeting = script.meet()
        meeting.asked()
    assert meeting.has_closed()


def cut(gateway: Gateway, script: Script, data: bytes) -> None:
    """The provider closes without a word."""
    with Wire(gateway.port) as wire:
        wire.send(data)
        meeting = script.meet()
        meeting.asked()
        meeting.close()
        assert client.read(wire.answer()).status == 502


def kill(gateway: Gateway, script: Script, data: bytes) -> None:
    """The worker dies."""
    with Wire(gateway.port) as wire:
        wire.send(data)
        meeting = script.meet()
        meeting.asked()
        worker = gateway.children()[1]
        os.kill(worker, signal.SIGKILL)
        gateway.wait(lambda: len(gateway.children()) == 2 and worker not in gateway.children())


@pytest.mark.parametrize("end", [leave, cut, kill])
@pytest.mark.parametrize("surface", client.SURFACES)
def test_an_estimate_is_no_debt(limited: Start, script: Script, surface: str,
                                end: Callable[[Gateway, Script, bytes], None]) -> None:
    """A request that may use more than there ever is takes all there is: where nobody settles it, a minute at most
    is lost, however much the client has asked for."""
    gateway = limited({"tokens_per_minute": LIMIT})
    end(gateway, script, post(surface, model="scripted", max_tokens=10**9))
    found = ask(gateway.port, post(surface, max_tokens=20))
    check(found, surface, surface, "rate_limited")
    assert 1 <= int(found.fields["retry-after"]) <= 8


def test_more_than_there_ever_is(limited: Start) -> None:
    """A request that may use more than a full minute holds passes where the minute is full, and settles as all do."""
    gateway = limited({"tokens_per_minute": LIMIT})
    assert ask(gateway.port, post("openai", max_tokens=100 * LIMIT, spec="tokens=10")).status == 200
    assert LIMIT - 60 <= left(gateway) < LIMIT
    found = ask(gateway.port, post("openai", max_tokens=100 * LIMIT))
    check(found, "openai", "openai", "rate_limited")
    assert int(found.fields["retry-after"]) <= 6


@pytest.mark.parametrize("owner", REFUSALS)
def test_a_shadow_is_all_or_none(limited: Start, owner: str) -> None:
    """What a shadow would have refused takes nothing of its other limits, as if it had been, and counts once."""
    gateway = limited(**owned(**{owner: {"requests_per_minute": 1, "tokens_per_minute": 150, "shadow": True},
                                 "gateway" if owner == "key" else "key": {"requests_per_minute": 100}}))
    for _ in range(4):
        found = ask(gateway.port, post("openai", spec="tokens=40", max_tokens=60))
        assert found.status == 200 and found.fields["x-ratelimit-limit"] == "100"
    assert gateway.metric("edge_limiter_decisions_total", decision="shadowed") == 3
    assert gateway.metric("edge_limiter_decisions_total", decision="admitted") == 4
    if owner == "key":
        assert left(gateway) >= 150 - 80


def test_a_shadow_in_front_of_a_limit(limited: Start) -> None:
    """A limit behind a shadow that would refuse takes and settles all the same."""
    gateway = limited({"requests_per_minute": 1, "shadow": True}, model_limits={"sim-*": LONG}, rate_limit=NONE)
    for count in (LIMIT // 2, LIMIT):
        assert ask(gateway.port, post("openai", spec=f"tokens={count}")).status == 200
    gateway.wait(lambda: gateway.metric("edge_requests_in_flight") == 0)
    check(ask(gateway.port, post("openai")), "openai", "openai", "model_rate_limited")


@pytest.mark.parametrize("limit", [LIMIT // 2, LIMIT - 1, LIMIT + 1])
def test_a_debt_outlives_a_reload(limited: Start, configure: Callable[..., dict[str, Any]], limit: int) -> None:
    """Another number for a limit is no forgiveness: what was used too much is owed under the new one."""
    gateway = limited({"tokens_per_minute": LIMIT})
    assert ask(gateway.port, post("openai", spec=f"tokens={LIMIT + 400}")).status == 200
    gateway.wait(lambda: gateway.metric("edge_requests_in_flight") == 0)
    config = configure()
    config["keys"][0]["rate_limit"] = {"tokens_per_minute": limit}
    assert gateway.reload(config).status_code == 200
    found = ask(gateway.port, post("openai"))
    check(found, "openai", "openai", "rate_limited")
    assert found.fields["x-ratelimit-limit"] == str(limit) and int(found.fields["retry-after"]) >= 350 * 60 / limit


def test_a_reload_while_a_request_is_on_its_way(limited: Start, configure: Callable[..., dict[str, Any]],
                                                script: Script) -> None:
    """What a request has reserved goes back to its own limits, also where their owners are gone or others by then."""
    def reload(names: list[str], units: int) -> None:
        config = configure(model_limits={"scripted*": {"tokens_per_minute": units}}, rate_limit=NONE)
        config["keys"] = [{"name": name, "key": f"env:{variable}", "rate_limit": {"tokens_per_minute": units}}
                          for name, variable in zip(names, ("TEST_KEY", "KEY_LOW"), strict=False)]
        assert gateway.reload(config).status_code == 200
    gateway = limited(LONG, model_limits={"scripted*": LONG}, rate_limit=NONE)
    with Wire(gateway.port) as wire:
        wire.send(post("openai", model="scripted", max_tokens=500))
        meeting = script.meet()
        meeting.asked()
        for names in (["other", "more"], ["third"], ["fourth", "test"], ["other"]):
            reload(names, LIMIT + len(names[0]))
            assert ask(gateway.port, post("openai", max_tokens=400, spec="tokens=100")).status == 200
        before = left(gateway, flying=1)
        meeting.send(answer(completion(usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})))
        assert client.read(wire.answer()).status == 200
    assert before <= left(gateway) <= before + 12
    for name in ("fifth", "sixth"):             # which have the places of those that are gone
        reload([name], LIMIT)
        assert left(gateway) == LIMIT
    leave(gateway, script, post("openai", model="scripted", max_tokens=LIMIT - 60))     # what the model had is back


def test_a_stream_that_goes_on(limited: Start) -> None:
    """What is reserved for a stream is gone while it goes on."""
    gateway = limited({"tokens_per_minute": LIMIT})
    with Wire(gateway.port) as wire:
        receive(wire.send(post("openai", stream=True, spec="tokens=4;stall=30", max_tokens=LIMIT)), b"data: ")
        check(ask(gateway.port, post("openai", max_tokens=100)), "openai", "openai", "rate_limited")
    gateway.wait(lambda: gateway.metric("edge_requests_in_flight") == 0)
    assert ask(gateway.port, post("openai", max_tokens=100)).status == 200
