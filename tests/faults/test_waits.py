"""How long is waited: for a provider's answer, and before it is asked again; and what clients are told of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.pair import Pair, ask

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
