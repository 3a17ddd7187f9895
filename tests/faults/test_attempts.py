"""When an attempt fails: which become another, where, how soon, how often, and which never do."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from tests.faults.pair import Pair, ask
from tests.support.gateway import Gateway
from tests.support.looks import at_rest
from tests.support.simulator import Simulator
from tests.support.talk import Talk, chat

SURFACES = ("openai", "anthropic")
OFF = {"enabled": False}


@pytest.fixture(scope="module")
def edge(providers: tuple[Simulator, Simulator]) -> Iterator[Gateway]:
    """A gateway that one test's failures leave as it is for the next: no circuit opens."""
    with Pair(*providers) as pair:
        yield pair.edge(circuit_breaker=OFF)


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 529])
def test_another_target_at_once(pair: Pair, edge: Gateway, surface: str, status: int) -> None:
    """A status that may be different elsewhere sends the request to the next target, and the answer says so."""
    if status == 429:           # makes the provider's key rest
        edge = pair.edge()
    served = {"provider": f"second-{surface}", "condition": "ok"}
    before = edge.metric("edge_requests_total", **served)
    pair.first.fault(f"status={status}")
    began = time.monotonic()
    found = ask(edge, surface=surface)
    assert found.status_code == 200
    assert time.monotonic() - began < 0.5
    assert pair.calls() == (1, 1)
    assert found.headers["x-edge-target"] == f"second-{surface}/both"
    assert (found.headers["x-edge-attempts"], found.headers["x-edge-degraded"]) == ("2", "fallback")
    assert edge.metric("edge_requests_total", **served) == before + 1
    lines = [each for each in edge.log_lines() if each.get("request_id") == found.headers["x-request-id"]]
    assert [(each["message"], each["upstream_status"]) for each in lines] == [("attempt failed", status)]


def test_no_connection(pair: Pair) -> None:
    """A provider that takes no connection costs nobody an answer where another stands in for it."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        edge = pair.edge(providers={"closed": {"kind": "openai", "base_url": f"http://127.0.0.1:{port}/v1"}},
                         models={"both": ["closed", "second-openai"]})
        found = ask(edge)
    assert (found.status_code, found.headers["x-edge-attempts"]) == (200, "2")
    assert pair.calls() == (0, 1)


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("status", [400, 404, 409, 413, 422, 501])
def test_what_no_attempt_mends(pair: Pair, edge: Gateway, surface: str, status: int) -> None:
    """An error that would be the same elsewhere is asked for once."""
    assert ask(edge, surface=surface, fault=f"status={status}").status_code in (status, 502)
    assert pair.calls() == (1, 0)


@pytest.mark.parametrize("fault", ["cut=0", "reset=0", "hang", "cut=300", "malformed=head", "malformed=json"])
def test_nothing_is_paid_twice(pair: Pair, fault: str) -> None:
    """A request that a provider has taken and not refused is never sent again, to whomever."""
    edge = pair.edge(timeout=0.5)
    found = ask(edge, fault=fault)
    assert found.status_code in (502, 504)
    assert found.headers["x-edge-blame"] == "upstream"
    assert pair.calls() == (1, 0)


def test_the_same_target_later(pair: Pair) -> None:
    """A lone target is asked again after a pause, and the answer counts its attempts."""
    edge = pair.edge(retry={"backoff": 0.4})
    pair.first.fault("status=503", times=1)
    began = time.monotonic()
    found = ask(edge, "lone")
    assert (found.status_code, found.headers["x-edge-attempts"]) == (200, "2")
    assert 0.2 <= time.monotonic() - began < 1.5
    assert "x-edge-degraded" not in found.headers
    assert edge.metric("edge_requests_total", condition="ok") == 1


def test_a_provider_names_the_time(pair: Pair) -> None:
    """The same target is asked again no sooner than it has said, and not at all if that is longer than one waits."""
    edge = pair.edge()
    pair.first.fault("status=503;retry-after=1", times=1)
    began = time.monotonic()
    assert ask(edge, "lone").status_code == 200
    assert time.monotonic() - began >= 1.0
    pair.first.reset()
    found = ask(edge, "lone", fault="status=503;retry-after=40")
    assert (found.status_code, found.headers["retry-after"]) == (502, "40")
    assert pair.calls() == (1, 0)


def test_the_last_attempt_is_told(pair: Pair) -> None:
    """A provider's own words, after which it wants to be asked again, are not the answer where that fails otherwise."""
    edge = pair.edge(retry={"max": 1, "backoff": 0.01})
    body = 'body={"error":{"message":"no such thing"}}'
    pair.first.faults([{"match": {}, "times": 1, "fault": f"status=400;should-retry=true;{body}"},
                       {"match": {}, "times": 1, "fault": "status=500"}])
    found = ask(edge, "lone")
    assert (found.status_code, found.headers["x-edge-condition"]) == (502, "provider_error")
    assert "no such thing" not in found.text and "Traceback" not in edge.log()


@pytest.mark.parametrize(("most", "headers", "calls"), [
    (2, {}, 3), (0, {}, 1), (2, {"x-stainless-retry-count": "1"}, 2), (2, {"x-stainless-retry-count": "0"}, 3)])
def test_how_often(pair: Pair, most: int, headers: dict[str, str], calls: int) -> None:
    """There are as many further attempts as the configuration says, and one where the client itself tries again."""
    edge = pair.edge(retry={"max": most, "backoff": 0.05}, circuit_breaker=OFF)
    found = ask(edge, "lone", fault="status=500", headers=headers)
    assert (found.status_code, found.headers["x-edge-condition"]) == (502, "provider_error")
    assert found.headers.get("x-edge-attempts", "1") == str(calls)
    assert pair.calls() == (calls, 0)


def test_an_exhausted_chain(pair: Pair) -> None:
    """When all targets have failed the client hears the soonest time of all, and that its own retry is in vain."""
    edge = pair.edge(retry={"max": 1})
    pair.first.fault("status=429;retry-after=20")
    pair.second.fault("status=429;retry-after=7")
    found = ask(edge)
    assert (found.status_code, found.headers["retry-after"], found.headers["x-should-retry"]) == (429, "7", "false")
    assert pair.calls() == (1, 1)


def test_one_deadline(pair: Pair) -> None:
    """All attempts together take no longer than one may."""
    edge = pair.edge(provider={"timeouts": {"total": 1}}, retry={"max": 10, "backoff": 0.4}, circuit_breaker=OFF)
    began = time.monotonic()
    found = ask(edge, "lone", fault="status=503;latency=200")
    assert found.status_code in (502, 504)
    assert time.monotonic() - began < 1.6


def test_the_budget(pair: Pair) -> None:
    """A provider that fails every request gets a tenth more of them than the clients send, and a few."""
    edge = pair.edge(retry={"backoff": 0.01}, circuit_breaker=OFF)
    with edge.client(headers={"x-simulate": "status=500"}) as client:
        for _ in range(100):
            body = {"model": "lone", "messages": [{"role": "user", "content": "x"}]}
            assert client.post("/v1/chat/completions", json=body).status_code == 502
    assert 100 < pair.calls()[0] <= 113
    assert edge.metric("edge_retry_budget_refused_total") >= 80


@pytest.mark.parametrize("fault", ["error=key", "error=billing", "error=permission", "status=401"])
def test_a_bad_key_rests(pair: Pair, fault: str) -> None:
    """A key that the provider rejects is left out, another one of its keys serves, and no client sees a 401 of ours."""
    edge = pair.edge(provider={"keys": ["env:PROVIDER_KEY", "env:TEST_KEY"]})
    pair.first.fault(fault, key="sk-provider")
    for _ in range(6):
        assert ask(edge, "lone").status_code == 200
    statuses = [each["status"] for each in pair.first.requests()]
    assert statuses.count(200) == 6
    assert len(statuses) == 7
    assert any(line["message"] == "provider key benched" for line in edge.log_lines())


def test_nobody_takes_the_last_key(pair: Pair) -> None:
    """Permissions that all keys lack for one request take the target from no other request."""
    edge = pair.edge(provider={"keys": ["env:PROVIDER_KEY", "env:TEST_KEY"]})
    pair.first.fault("error=permission", times=2)
    assert ask(edge).headers["x-edge-target"] == "second-openai/both"
    assert ask(edge).headers["x-edge-target"] == "first-openai/both"


def test_a_limited_key_comes_back(pair: Pair) -> None:
    """A key over its provider's limit rests for as long as the provider says, and serves again then."""
    edge = pair.edge(provider={"keys": ["env:PROVIDER_KEY", "env:TEST_KEY"]})
    pair.first.fault("status=429;retry-after=1", times=1, key="sk-provider")

    def keys() -> list[str]:
        return ["".join(value for name, value in each["headers"] if name.lower() == "authorization")
                for each in pair.first.requests() if each["status"] == 200]

    for _ in range(4):
        assert ask(edge, "lone").status_code == 200
    assert "Bearer sk-provider" not in keys()
    edge.wait(lambda: ask(edge, "lone").status_code == 200 and "Bearer sk-provider" in keys(), 5)


def test_weights(pair: Pair) -> None:
    """Targets of one priority share the requests by their weights."""
    models = {"both": [{"provider": "first-openai", "priority": 0, "weight": 3},
                       {"provider": "second-openai", "priority": 0}]}
    edge = pair.edge(models=models)
    with edge.client() as client:
        for _ in range(200):
            client.post("/v1/chat/completions", json={"model": "both", "messages": [{"role": "user", "content": "x"}]})
    first, second = pair.calls()
    assert first + second == 200
    assert 120 <= first <= 180              # 150, and five deviations of chance


def test_sessions_stick(pair: Pair) -> None:
    """A session stays with one of several equal targets, whichever worker has it, and sessions spread."""
    models = {"both": [{"provider": "first-openai", "priority": 0}, {"provider": "second-openai", "priority": 0}]}
    edge = pair.edge(models=models, workers=2, sticky="x-session-id")
    seen = {session: {ask(edge, headers={"x-session-id": f"s-{session}"}).headers["x-edge-target"] for _ in range(6)}
            for session in range(12)}
    assert all(len(targets) == 1 for targets in seen.values())
    assert len(set.union(*seen.values())) == 2


@pytest.mark.parametrize("surface", SURFACES)
def test_an_error_for_a_first_event(pair: Pair, surface: str) -> None:
    """A stream that begins with an overload is another target's stream, and one that has begun is nobody else's."""
    edge = pair.edge()
    pair.first.fault("error-event=0,overloaded", times=1)
    found = ask(edge, surface=surface, stream=True)
    assert (found.status_code, found.headers["x-edge-attempts"]) == (200, "2")
    assert "error" not in found.text
    pair.first.fault("error-event=2,overloaded", times=1)
    found = ask(edge, surface=surface, stream=True)
    assert "event: error" in found.text
    assert "x-edge-attempts" not in found.headers
    assert pair.calls() == (2, 1)


def test_leaving_during_a_pause(pair: Pair) -> None:
    """A client that leaves while its next attempt is put off is forgotten: nothing more is sent for it."""
    edge = pair.edge(retry={"backoff": 1})
    pair.first.fault("status=503")
    with Talk(edge.port) as talk:
        talk.send(chat(model="lone"))
        pair.first.wait_for(lambda state: state["requests"] == 1)
        edge.wait(lambda: any(line["message"] == "attempt failed" for line in edge.log_lines()))
    at_rest(edge)
    assert edge.metric("edge_requests_total", condition="client_closed") == 1
    assert ask(edge, "lone", fault="status=400").status_code == 400
    assert pair.calls() == (2, 0)


def test_a_flood_is_told_short(pair: Pair) -> None:
    """Of many failures of one kind in a second the log has the first ones, and says how many more there were."""
    edge = pair.edge(retry={"max": 0}, circuit_breaker=OFF)
    body = {"model": "lone", "messages": [{"role": "user", "content": "x"}]}
    with edge.client(headers={"x-simulate": "status=501"}) as client:
        for _ in range(200):
            assert client.post("/v1/chat/completions", json=body).status_code == 502

    def told() -> int:
        lines = [line for line in edge.log_lines() if line.get("condition") == "provider_error"]
        written = sum(line["message"] == "request failed" for line in lines)
        assert written < 200
        return written + sum(line["unwritten"] for line in lines if line["message"] == "more of the same")

    edge.wait(lambda: told() == 200)
    assert edge.metric("edge_requests_total", condition="provider_error") == 200
