"""Streams that break, as each client's user sees it: an error with the reason, never a silent end or a riddle."""

from __future__ import annotations

import time

import pytest

from tests.clients.conftest import MODELS, WAYS, Way

# What a client makes of bytes that it does not understand: the gateway's own endings must not be among them.
RIDDLES = ("TypeValidationError", "JSONParseError", "JSONDecodeError", "SyntaxError", "ValidationError", "TypeError",
           "KeyError", "AttributeError")
MIDDLE = 5000               # bytes: within the text, on every surface
# Clients that have a way to leave a stream; the other ones of PyPI leave that to Python's collector.
LEAVING = [way for way in WAYS if way[0] not in ("litellm-py", "langchain-py")]
PROMPT_SECONDS = 0.25       # of 100 ms: a loaded machine's share


def broken(way: Way, fault: str, **ask: object) -> str:
    """The message of a stream's error, whose kind is one that the client means."""
    seen = way(fault, stream=True, **ask)
    assert "error" in seen, f"a silent success with {len(seen['text'])} characters"
    error = seen["error"]
    assert not [riddle for riddle in RIDDLES if riddle in error["kind"] or riddle in error["message"]], error
    return str(error["message"])


@pytest.mark.parametrize("fault", [f"cut={MIDDLE}", f"reset={MIDDLE}", "malformed=chunk"])
def test_a_stream_that_is_cut(way: Way, fault: str) -> None:
    """A stream whose connection ends in the middle is an error that blames the provider."""
    assert "provider" in broken(way, fault).lower()


def test_the_text_before_a_cut(way: Way) -> None:
    """What came before the cut has reached the client."""
    assert way(f"cut={MIDDLE}", stream=True)["text"].startswith("You said: hello")


def test_an_event_that_is_no_json(way: Way) -> None:
    """An event that breaks off is the provider's fault, and no riddle in the client's own parser."""
    assert "provider" in broken(way, "malformed=json").lower()


@pytest.mark.parametrize("case", ["overloaded", "server"])
def test_the_providers_own_error(way: Way, case: str) -> None:
    """The provider's own error in the middle of a stream keeps its words."""
    words = {("overloaded", False): "currently overloaded", ("overloaded", True): "overloaded",
             ("server", False): "had an error", ("server", True): "internal server error"}
    message = broken(way, f"error-event=9,{case}")
    assert words[case, way.surface == "messages"] in message.lower()
    assert "200 OK" not in message


def test_a_stream_that_stands_still(way: Way) -> None:
    """A stream that stops is an error once the provider has been silent for as long as it may."""
    begun = time.monotonic()
    message = broken(way, "stall=20", model=f"hasty-{MODELS[way.surface]}")
    assert "provider" in message.lower()
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("way", LEAVING, indirect=True, ids="-".join)
def test_a_client_that_leaves(way: Way) -> None:
    """A client that goes away in the middle of a stream ends it at the provider within a tenth of a second."""
    seen = way("stall=20", stream=True, leave=300)
    left = time.time()
    assert seen["text"].startswith("You")
    state = way.simulator.wait_for(lambda state: state["cancelled"], seconds=2)
    assert state["cancelled"][0]["at"] - left < PROMPT_SECONDS


@pytest.mark.parametrize("way", [way for way in WAYS if way[1] == "responses"], indirect=True, ids="-".join)
@pytest.mark.parametrize("fault", [f"cut={MIDDLE}", "no-terminal", "error-event=9,overloaded", "malformed=json"])
def test_how_a_broken_response_ends(way: Way, fault: str) -> None:
    """A response's stream that breaks ends as a failed response, whose error the client can read."""
    seen = way(fault, stream=True)
    assert "error" in seen
    assert "response.completed" not in seen["kinds"]
