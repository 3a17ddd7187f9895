"""What is told of refusals: to the operator in the log, bounded, and to the client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest

from tests.support.gateway import PLAIN, Gateway, configuration
from tests.support.simulator import Simulator
from tests.support.talk import REQUEST_ID, Talk, ask, asked, chat, request


@pytest.fixture(scope="module")
def refusing() -> Iterator[Gateway]:
    """A gateway that speaks token360's contract and serves one model."""
    with Simulator() as simulator, Gateway(configuration(
            simulator.url, contract="token360", models={"known": "openai"})) as running:
        yield running


def refused(gateway: Gateway, **facts: Any) -> list[dict[str, Any]]:
    """The log's lines of refusals with these facts."""
    return [line for line in gateway.log_lines()
            if line["message"] == "request refused" and facts.items() <= line.items()]


def wrong(**fields: str) -> bytes:
    """A chat request with a key that is none."""
    return chat("known", authorization="Bearer sk-nobody-knows-this-one", **fields)


FAULTS: dict[str, tuple[str, bytes, str | None]] = {
    "key": ("key_unknown", wrong(), None), "no key": ("key_missing", request(asked("known"), key=None), None),
    "model": ("model_unknown", chat("nobody"), None), "JSON": ("json_invalid", request(b"{"), "at byte 1"),
    "path": ("endpoint_unknown", request(asked(), path="/v1/nowhere?key=secret"), "POST /v1/nowhere"),
    "method": ("method_not_allowed", request(asked(), method="PUT"), "PUT"),
    "no HTTP": ("request_malformed", b"GARBAGE\r\n\r\n", None),
    "type": ("content_type", request(asked("known"), kind="text/plain"), "text/plain"),
    "no type": ("content_type", request(asked("known"), kind=None), "no Content-Type"),
    "no member": ("field_missing", request({"model": "known"}), "messages"),
    "type of a member": ("field_type", request({**asked("known"), "messages": "secret"}),
                         "messages: expected an array"),
    "value": ("field_value", request(asked("known", temperature=9)), "temperature: expected between 0 and 2"),
    "another's model": ("not_implemented", request(asked("known", max_tokens=1), path="/v1/messages"),
                        "/v1/messages for the model known, whose provider speaks another API. Ask for it at "
                        "/v1/chat/completions"),
    "provider's": ("provider_rejected", chat("known", fault='status=404;body={"error":{"message":"No such thing"}}'),
                   "No such thing"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_refusal_is_found_by_its_id(refusing: Gateway, name: str) -> None:
    """What a client reports, a traceId, leads to a line of the log: what was wrong, and where it came from."""
    condition, data, reason = FAULTS[name]
    found = ask(refusing.port, data)
    assert 400 <= found.status < 500 or found.status == 501
    trace = found.json["error"]["traceId"]
    line, = refusing.wait(lambda: refused(refusing, request_id=trace))
    assert (line["condition"], line["address"], line["level"]) == (condition, "127.0.0.1", "info")
    assert line["blame"] in ("client", "tenant") and line["reason"] == reason


def test_a_flood_of_wrong_keys_is_told_in_few_lines(simulator: Simulator) -> None:
    """Thousands of refusals are counted by condition and have twenty lines a second, then their number."""
    with Gateway(configuration(simulator.url)) as flooded:
        with Talk(flooded.port) as talk:
            for _ in range(20):
                talk.send(wrong() * 50)
                for _ in range(50):
                    assert talk.answer().status == 401
        assert flooded.metric("edge_requests_total", condition="key_unknown") == 1000

        def told() -> bool:
            lines = [line for line in flooded.log_lines() if line.get("condition") == "key_unknown"]
            said = sum(line["message"] == "request refused" for line in lines)
            return said + sum(line.get("unwritten", 0) for line in lines) == 1000 and len(lines) < 300
        flooded.wait(told)


@pytest.mark.parametrize("name", ["m" * 8_000_000, "\N{OX}" * 100_000, "'\"\\" * 1000, "a\nb", "\x1b[31m"],
                         ids=["long", "wide", "quotes", "lines", "control"])
def test_values_from_outside_are_short_and_text(refusing: Gateway, name: str) -> None:
    """A value in the log is text of 256 bytes at most, whatever was sent."""
    found = ask(refusing.port, chat(name))
    line, = refusing.wait(lambda: refused(refusing, request_id=found.header("x-request-id")))
    assert len(json.dumps(line, ensure_ascii=False).encode()) < 2048
    assert "b'" not in json.dumps(line)


def test_the_key_that_is_wrong_is_the_gateways(simulator: Simulator) -> None:
    """Who sends a provider's key is told that the gateway wants its own."""
    with Gateway(configuration(simulator.url)) as running:
        for path in ("/v1/chat/completions", "/v1/messages"):
            found = ask(running.port, request(asked(max_tokens=1), path=path, key="sk-proj-0123456789abcdef"))
            assert found.status == 401 and "this gateway's key" in found.json["error"]["message"]


@pytest.mark.parametrize(("path", "status"), [("/health", 200), ("/metrics", 200), ("/stats", 200), ("/nowhere", 404),
                                              ("/admin/config", 200), ("/admin/reload", 405)])
def test_admin_answers_bear_an_id(refusing: Gateway, path: str, status: int) -> None:
    """Every answer of the admin port has an id of the same form as the data port's."""
    found = httpx.get(refusing.admin + path, **PLAIN)
    assert found.status_code == status
    name = found.headers["x-request-id"]
    assert name == found.headers["request-id"] and REQUEST_ID.fullmatch(name) and len(name) == 20 and name[:4] == "req-"


def test_a_key_sees_its_own_figures_alone(simulator: Simulator) -> None:
    """/stats of the data port tells a key of itself, and nothing of other keys, targets, workers or totals."""
    keys = [{"name": "one", "key": "env:TEST_KEY", "rate_limit": {"requests_per_second": 1, "burst_size": 9},
             "scopes": ["chat", "stats"]}, {"name": "two", "key": "sk-two-0123456789abcdef", "models": ["gpt-*"]}]
    with Gateway(configuration(simulator.url, keys=keys)) as running:
        assert ask(running.port, chat()).status == 200
        one = ask(running.port, request(method="GET", path="/stats"), "GET").json
        two = ask(running.port, request(method="GET", path="/stats", key="sk-two-0123456789abcdef"), "GET").json
        assert ask(running.port, request(method="GET", path="/stats", key=None), "GET").status == 401
        everything = httpx.get(f"{running.admin}/stats", **PLAIN).json()
    assert one["limit"]["limit"] == 9 and one["limit"]["left"] < 9 and (one["key"], one["models"]) == ("one", [])
    assert two == {"key": "two", "limit": None, "minute": {}, "concurrent_requests": None, "priority": 1,
                   "models": ["gpt-*"], "scopes": [], "expires": None}
    assert {"workers", "targets", "series", "keys"} <= set(everything)
