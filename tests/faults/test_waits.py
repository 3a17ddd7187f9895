"""How long is waited: for a provider's answer, and before it is asked again; and what clients are told of it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.faults.pair import Pair, ask
from tests.support.provider import Line, Provider, answer

SURFACES = ("openai", "anthropic")


@pytest.mark.parametrize(("settings", "stream", "told"), [
    ({"provider": {"timeouts": {"first_byte": 0.3}}}, True, "0.3"),
    ({"provider": {"timeouts": {"first_byte": 0.3}}}, False, None),
    ({"provider": {"timeouts": {"total": 0.3}}}, False, "0.3"),
    ({"provider": {"timeouts": {"total": 0.3}}}, True, "0.3"),
    ({"timeout": 0.3}, True, "0.3"),
    ({"timeout": 0.3}, False, "0.3"),
    ({"timeout": 0.3, "provider": {"timeouts": {"first_byte": 0, "total": 600}}}, True, None),
    ({"timeout": 0.3, "provider": {"timeouts": {"total": 600}}}, False, None),
    ({"provider": {"timeouts": {"first_byte": 0.2, "total": 0.3}}}, False, "0.3"),
    ({}, False, None),
])
def test_who_may_think_how_long(pair: Pair, settings: dict[str, Any], stream: bool, told: str | None) -> None:
    """The head's time is for streams, a plain answer has the total one, `timeout` in the file is both; the limit that
    was met is named."""
    edge = pair.edge(contract="tokenpak", **settings)
    found = ask(edge, "lone", fault="latency=800", stream=stream)
    if told is None:
        assert found.status_code == 200
        return
    assert (found.status_code, found.headers["x-should-retry"]) == (504, "false")
    assert "retry-after" not in found.headers
    error = found.json()["error"]
    assert (error["code"], error["message"]) == ("TIMEOUT_001", f"Request to upstream took too long (>{told}s)")


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize(("fault", "says"), [
    ("cut=0", "closed the connection without an answer"), ("reset=0", "reset the connection without an answer")])
def test_taken_and_not_answered(pair: Pair, surface: str, fault: str, says: str) -> None:
    """A provider that takes a request and hangs up was not out of reach: what it did is said, and nobody is told to
    send the request again."""
    edge = pair.edge(retry={"max": 3, "backoff": 0.01})
    found = ask(edge, surface=surface, fault=fault)
    assert (found.status_code, found.headers["x-edge-condition"]) == (502, "provider_disconnected")
    assert found.json()["error"]["message"] == f"The provider {says}"
    assert (found.headers["x-should-retry"], found.headers.get("retry-after")) == ("false", None)
    assert pair.calls() == (1, 0)


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize(("fault", "status", "wait"), [
    ("status=429;retry-after=5", 429, 5), ("status=429;retry-after=30", 429, 30),
    ("status=429;retry-after=ms:2500", 429, 3), ("status=502;retry-after=5", 502, 5),
    ("status=500;retry-after=40", 502, 40), ("status=529;retry-after=9", 0, 9)])
def test_a_long_wait_is_the_clients(pair: Pair, fault: str, status: int, wait: int, surface: str) -> None:
    """A provider's wait of more than two seconds is not sat out: the client hears of it at once, with the true time."""
    edge = pair.edge(retry={"max": 3, "backoff": 0.01}, circuit_breaker={"enabled": False})
    began = time.monotonic()
    found = ask(edge, "lone", surface=surface, fault=fault)
    assert time.monotonic() - began < 1.5
    assert found.status_code == (status or (529 if surface == "anthropic" else 503))
    assert (found.headers["retry-after"], found.headers["x-should-retry"]) == (str(wait), "true")
    assert pair.calls() == (1, 0)


@pytest.mark.parametrize(("retry", "fault", "calls", "longest"), [
    ({"max": 9, "backoff": 0.3, "max_wait": 0}, "status=502", 1, 0.3),
    ({"max": 9, "backoff": 0.2, "max_wait": 0.6}, "status=502", None, 0.6),
    ({"max": 9, "backoff": 0.01, "max_wait": 1}, "status=502;retry-after=1", 2, 1.0),
    ({"max": 9, "backoff": 0.01, "max_wait": 1}, "status=429;retry-after=1", 2, 1.0),
])
def test_all_pauses_count(pair: Pair, retry: dict[str, Any], fault: str, calls: int | None, longest: float) -> None:
    """All pauses of a request together, its own backoff among them, stay within max_wait."""
    edge = pair.edge(retry=retry, circuit_breaker={"enabled": False})
    began = time.monotonic()
    found = ask(edge, "lone", fault=fault)
    assert time.monotonic() - began < longest + 0.7
    assert found.status_code in (429, 502)
    assert pair.calls()[0] == calls if calls else 2 <= pair.calls()[0] <= 4


REFUSED = b'{"error": {"message": "no", "type": "server_error"}}'
CLIENTS = b'{"error": {"message": "no", "type": "invalid_request_error"}}'


@pytest.mark.parametrize(("status", "said", "calls", "passed"), [
    ("500 Internal Server Error", "false", 1, "false"), ("500 Internal Server Error", "FALSE", 1, "false"),
    ("503 Service Unavailable", "False", 1, "false"), ("504 Gateway Timeout", " false ", 1, "false"),
    ("429 Too Many Requests", "false", 1, "false"), ("400 Bad Request", "false", 1, "false"),
    ("501 Not Implemented", "true", 3, "true"), ("500 Internal Server Error", "True", 3, "true"),
    ("409 Conflict", "TRUE", 3, "true"), ("400 Bad Request", "true", 3, "true"),
    ("500 Internal Server Error", "maybe", 3, "true"), ("400 Bad Request", "maybe", 1, "false"),
    ("501 Not Implemented", "", 1, "false"),
])
@pytest.mark.parametrize("contract", ["openai", "tokenpak"])
def test_the_providers_word_on_retrying(pair: Pair, contract: str, status: str, said: str, calls: int,
                                        passed: str) -> None:
    """x-should-retry of a provider, which may be a gateway too, is obeyed and passed on, in any letter case."""
    body = CLIENTS if status.startswith("4") else REFUSED
    seen: list[bytes] = []

    def script(line: Line) -> None:
        while request := line.request():
            seen.append(request)
            line.send(answer(body, b"x-should-retry: " + said.encode(), status=status.encode()))

    with Provider(script) as provider:
        edge = pair.edge(
            providers={"told": {"kind": "openai", "base_url": f"{provider.url}/v1"}}, models={"told": "told"},
            retry={"max": 2, "backoff": 0.01}, circuit_breaker={"enabled": False}, contract=contract)
        found = ask(edge, "told")
    assert (len(seen), found.headers["x-should-retry"]) == (calls, passed)


@pytest.mark.parametrize(("status", "calls", "condition"), [
    *((status, 3, "provider_error") for status in (500, 502, 503, 504, 521, 522, 523)),
    *((status, 1, "provider_error") for status in (501, 505, 507, 520, 525, 597)),
    *((status, 1, "provider_timeout") for status in (408, 524, 598, 599)),
])
def test_the_advice_is_what_is_done_here(pair: Pair, status: int, calls: int, condition: str) -> None:
    """Where the gateway asks but once, as a retry cannot help or would pay twice, the client is told not to retry;
    and a provider's own timeout is told in whole seconds."""
    seen: list[bytes] = []

    def script(line: Line) -> None:
        while request := line.request():
            seen.append(request)
            line.send(answer(REFUSED, status=b"%d Odd" % status))

    with Provider(script) as provider:
        edge = pair.edge(
            providers={"told": {"kind": "openai", "base_url": f"{provider.url}/v1"}}, models={"told": "told"},
            retry={"max": 2, "backoff": 0.01}, circuit_breaker={"enabled": False}, contract="tokenpak")
        found = ask(edge, "told")
    advice = ("true", "1") if calls > 1 else ("false", None)
    assert (len(seen), found.headers["x-edge-condition"]) == (calls, condition)
    assert (found.headers["x-should-retry"], found.headers.get("retry-after")) == advice
    if condition == "provider_timeout":
        assert found.json()["error"]["message"] == "Request to upstream took too long (>1s)"


@pytest.mark.parametrize(("status", "elsewhere"), [
    (b"504 Gateway Timeout", False), (b"502 Bad Gateway", False), (b"401 Unauthorized", True),
    (b"429 Too Many Requests", True)])
def test_a_gateway_behind_a_gateway(pair: Pair, status: bytes, elsewhere: bool) -> None:
    """What another gateway has sent and got no answer to is not sent elsewhere; what it refused by its key is."""
    def script(line: Line) -> None:
        if line.request():
            line.send(answer(REFUSED, b"x-should-retry: false", status=status))

    with Provider(script) as provider:
        told = {"kind": "openai", "base_url": f"{provider.url}/v1", "key": "env:TEST_KEY"}
        edge = pair.edge(providers={"told": told}, models={"both": ["told", "second-openai"]})
        found = ask(edge)
    assert (found.status_code == 200, pair.calls()) == (elsewhere, (0, int(elsewhere)))


def test_the_time_is_true(pair: Pair) -> None:
    """Of two waits that were said one after the other the one that still stands is told."""
    edge = pair.edge(retry={"max": 1, "backoff": 0.01})
    pair.first.fault("status=502;retry-after=1", times=1)
    pair.first.fault("status=502;retry-after=20")
    found = ask(edge, "lone")
    assert (found.status_code, found.headers["retry-after"], pair.calls()) == (502, "20", (2, 0))
