"""Claude Code in print mode at the gateway."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients.agents import SECRET, claude_code
from tests.support.gateway import Gateway
from tests.support.simulator import Simulator

PATH = "/v1/messages"


@pytest.mark.parametrize("suffix", ["", "/", "/v1"])
def test_a_turn_with_a_tool(gateway: Gateway, simulator: Simulator, tmp_path: Path, suffix: str) -> None:
    """A turn in which a file is read ends by itself after two requests, with the file's text at the provider."""
    turn = claude_code(f"{gateway.url}{suffix}", "Please Read the file example").turn(tmp_path)
    (result,) = turn.told("result")
    assert (turn.code, result["is_error"], result["num_turns"]) == (0, False, 2), turn
    assert [(request["method"], request["status"]) for request in simulator.requests()] == [("POST", 200)] * 2
    assert SECRET in json.dumps(turn.told("user"))


def test_a_wrong_key(gateway: Gateway, simulator: Simulator, tmp_path: Path) -> None:
    """A wrong key ends the turn with words that name the gateway, and reaches no provider."""
    turn = claude_code(gateway.url, "hello", key="sk-wrong-0123456789abcdef").turn(tmp_path)
    assert turn.code != 0
    assert "gateway" in turn.told("result")[0]["result"].lower(), turn.text
    assert simulator.requests() == []


@pytest.mark.parametrize(("fault", "words"), [
    ("error=billing", "quota or credit"), ("cut=0", "closed the connection without an answer")])
def test_a_refused_request(gateway: Gateway, simulator: Simulator, tmp_path: Path, fault: str, words: str) -> None:
    """What no retry mends, or what one might pay for twice, ends the turn after one request, with the reason."""
    simulator.fault(fault, path=PATH)
    turn = claude_code(gateway.url, "hello").turn(tmp_path)
    assert turn.code != 0
    assert words in turn.told("result")[0]["result"].lower(), turn.text
    most = 2 if fault == "cut=0" else 1     # a kept connection that ends so may have been stale: one more, on a new one
    assert len(simulator.requests()) <= most


@pytest.mark.parametrize("fault", ["status=529", "status=503", "error=rate;retry-after=1"])
def test_a_provider_that_fails_once(gateway: Gateway, simulator: Simulator, tmp_path: Path, fault: str) -> None:
    """A provider that fails once is asked again, and the turn ends well."""
    simulator.fault(fault, path=PATH, times=1)
    turn = claude_code(gateway.url, "hello").turn(tmp_path)
    assert (turn.code, turn.told("result")[0]["is_error"]) == (0, False), turn
    assert len(simulator.requests()) == 2


@pytest.mark.parametrize("fault", ["cut=6000", "error-event=9,overloaded", "malformed=json", "no-terminal"])
def test_streams_that_break(gateway: Gateway, simulator: Simulator, tmp_path: Path, fault: str) -> None:
    """Where every stream breaks, the agent asks for plain answers or gives up after a few requests."""
    simulator.fault(f"{fault};tokens=200", path=PATH)
    turn = claude_code(gateway.url, "hello").turn(tmp_path)
    assert len(simulator.requests()) <= 5
    (result,) = turn.told("result")
    assert not result["is_error"] or "provider" in result["result"], turn.text


def test_leaving(gateway: Gateway, simulator: Simulator, tmp_path: Path) -> None:
    """Ctrl-C in the middle of a stream ends it at the provider."""
    simulator.fault("stall=9", path=PATH)
    claude_code(gateway.url, "hello").turn(tmp_path, leave=lambda: simulator.wait_for(
        lambda state: state["streams"] == 1, seconds=20))
    simulator.wait_for(lambda state: state["cancelled"], seconds=2)
