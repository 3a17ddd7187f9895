"""What goes well, as each client sees it."""

from __future__ import annotations

import pytest

from tests.clients.conftest import MODELS, TOKENS, Way

LONG = 1500         # tokens: a stream of hundreds of kilobytes; clients of Python take milliseconds for each event


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_an_answer(way: Way, stream: bool) -> None:
    """A client gets the whole text with one request, plain and streamed."""
    seen = way(stream=stream)
    assert "error" not in seen
    assert seen["text"].startswith("You said: hello") and len(seen["text"].split()) == TOKENS - 1
    assert way.sent() == 1


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_tool_round(way: Way, stream: bool) -> None:
    """A tool's call arrives whole, its result goes back, and the turn ends with text after two requests."""
    seen = way(tool=True, prompt="use get_weather", stream=stream)
    assert "error" not in seen
    assert seen["calls"] == [["get_weather", {"city": "example"}]]
    assert seen["text"].startswith("You said: ")
    assert way.sent() == 2
    assert '"sunny"' in way.simulator.requests()[1]["body"]


def test_connections_are_used_again(way: Way) -> None:
    """Requests one after the other share the gateway's connection to the provider, streams among them."""
    for stream in (False, True, False, True):
        assert "error" not in way(stream=stream)
    assert len({request["connection"] for request in way.simulator.requests()}) == 1


def test_a_pause_is_sat_through(way: Way) -> None:
    """A stream that is silent for a while goes on as if it had not been."""
    seen = way("stall=20,700", stream=True)
    assert "error" not in seen
    assert len(seen["text"].split()) == TOKENS - 1
    assert seen["seconds"] > 0.7


def test_a_long_answer(way: Way) -> None:
    """An answer of many reads arrives whole, plain and streamed."""
    for stream in (False, True):
        seen = way(f"tokens={LONG}", stream=stream)
        assert ("error" not in seen, len(seen["text"].split())) == (True, LONG - 1)


@pytest.mark.parametrize("slash", ["", "/"], ids=["bare", "slash"])
@pytest.mark.parametrize("version", ["", "/v1"], ids=["without", "with"])
def test_base_urls(way: Way, version: str, slash: str) -> None:
    """A base URL is served with and without /v1, and with a slash at its end or not."""
    seen = way(base=f"{way.gateway.url}{version}{slash}")
    assert "error" not in seen
    assert seen["text"].startswith("You said: hello") and way.sent() == 1


def test_the_key_stays_here(way: Way) -> None:
    """The provider gets its own key and none of the client's."""
    way()
    headers = [value for request in way.simulator.requests() for _, value in request["headers"]]
    assert not [value for value in headers if way.gateway.environ["TEST_KEY"] in value]
    assert [value for value in headers if "sk-provider" in value]


def test_models_of_the_dialect(way: Way) -> None:
    """The provider is asked for the model that the client named."""
    way()
    assert [request["model"] for request in way.simulator.requests()] == [MODELS[way.surface]]
