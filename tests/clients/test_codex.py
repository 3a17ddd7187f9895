"""Codex at the gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.agents import SECRET, codex
from tests.support.gateway import Gateway
from tests.support.simulator import Simulator

PATH = "/v1/responses"


@pytest.mark.parametrize("retries", [None, 0], ids=["built-in", "own"])
def test_a_turn_with_a_tool(gateway: Gateway, simulator: Simulator, tmp_path: Path, retries: int | None) -> None:
    """A turn in which a command is run ends by itself after two requests, with what it printed at the provider."""
    turn = codex(f"{gateway.url}/v1", "please use exec_command", retries=retries).turn(tmp_path)
    assert (turn.code, len(turn.told("turn.completed"))) == (0, 1), turn
    assert [(request["target"], request["status"]) for request in simulator.requests()] == [(PATH, 200)] * 2
    assert SECRET in turn.text
    assert SECRET in simulator.requests()[1]["body"]
    if retries is None:
        assert turn.seconds < 5 and "Reconnecting" not in turn.text


def test_a_wrong_key(gateway: Gateway, simulator: Simulator, tmp_path: Path) -> None:
    """A wrong key ends the turn with words that name the gateway, and reaches no provider."""
    turn = codex(f"{gateway.url}/v1", "hello", key="sk-wrong-0123456789abcdef", retries=0).turn(tmp_path)
    assert turn.code != 0
    assert "gateway" in str(turn.told("turn.failed")).lower(), turn.text
    assert simulator.requests() == []


@pytest.mark.parametrize(("fault", "words"), [
    ("cut=9000", "provider ended the response early"), ("malformed=json", "provider"), ("no-terminal", "provider"),
    ("error-event=9,overloaded", "currently overloaded"), ("error-event=9,server", "had an error"),
])
def test_streams_that_break(gateway: Gateway, simulator: Simulator, tmp_path: Path, fault: str, words: str) -> None:
    """A stream that breaks ends the turn with the reason."""
    simulator.fault(f"{fault};tokens=200", path=PATH)
    turn = codex(f"{gateway.url}/v1", "hello", retries=0).turn(tmp_path)
    assert turn.code != 0
    assert words in str(turn.told("turn.failed")), turn.text
    assert len(simulator.requests()) == 1


@pytest.mark.parametrize(("fault", "words"), [
    ("error=context", "context window"),        # known by its code, and told in Codex's own words
    ("status=400", "The request is invalid"), ("error=quota", "quota")])
def test_a_refused_request(gateway: Gateway, simulator: Simulator, tmp_path: Path, fault: str, words: str) -> None:
    """A refusal of the provider's ends the turn with the provider's words."""
    simulator.fault(fault, path=PATH)
    turn = codex(f"{gateway.url}/v1", "hello", retries=0).turn(tmp_path)
    assert turn.code != 0
    assert words in str(turn.told("turn.failed")), turn.text


@pytest.mark.parametrize("fault", ["status=503", "error=overloaded", "cut=0"])
def test_a_provider_that_fails_once(gateway: Gateway, simulator: Simulator, tmp_path: Path, fault: str) -> None:
    """A provider that fails once is asked again, and the turn ends well."""
    simulator.fault(fault, path=PATH, times=1)
    turn = codex(f"{gateway.url}/v1", "hello", retries=2).turn(tmp_path)
    assert (turn.code, len(simulator.requests())) == (0, 2), turn


def test_leaving(gateway: Gateway, simulator: Simulator, tmp_path: Path) -> None:
    """Ctrl-C in the middle of a stream ends it at the provider."""
    simulator.fault("stall=9", path=PATH)
    codex(f"{gateway.url}/v1", "hello", retries=0).turn(tmp_path, leave=lambda: simulator.wait_for(
        lambda state: state["streams"] == 1, seconds=20))
    simulator.wait_for(lambda state: state["cancelled"], seconds=2)
