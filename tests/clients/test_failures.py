"""What goes wrong before an answer, as each client's user sees it."""

from __future__ import annotations

import pytest

from tests.clients.conftest import HEEDING, Way
from tests.support.gateway import Gateway

LONG = 90       # seconds: a wait that nobody sits out
QUICK = 2.0     # seconds: an error that came at once, on a loaded machine


def test_a_wrong_key(way: Way) -> None:
    """A wrong key is 401, tells that it is the gateway's, and reaches no provider."""
    error = way(key="sk-wrong-0123456789abcdef", retries=2)["error"]
    assert error["status"] == 401
    assert "gateway" in error["message"].lower(), error
    assert way.sent() == 0


def test_an_unknown_model(way: Way) -> None:
    """The provider's word that it has no such model is 404, and is not asked for twice."""
    error = way("error=model", retries=2)["error"]
    assert error["status"] == 404
    assert way.sent() == 1


def test_a_model_of_the_other_dialect(way: Way) -> None:
    """A model that is served elsewhere is 501 at once, with the path that serves it."""
    model, path = (("gpt-4o", "/v1/chat/completions") if way.surface == "messages" else
                   ("claude-opus-4-6", "/v1/messages"))
    error = way(model=model, retries=2)["error"]
    assert error["status"] == 501
    assert error["message"].endswith(f"Ask for it at {path}")
    assert way.sent() == 0


def test_a_refused_request(way: Way) -> None:
    """The provider's 400 keeps the provider's words, and is not asked for twice."""
    error = way("error=context", retries=2)["error"]
    assert error["status"] == 400
    assert ("too long" if way.surface == "messages" else "maximum context length") in error["message"]
    assert way.sent() == 1


def test_a_short_wait(way: Way) -> None:
    """A client that tries again does so after the wait that the provider wants, and gets its answer."""
    way.simulator.fault("error=rate;retry-after=1", times=1)
    seen = way(retries=2)
    if way.once:
        assert (seen["error"]["status"], way.sent()) == (429, 1)
        return
    assert ("error" not in seen, way.sent()) == (True, 2), seen
    first, second = (request["at"] for request in way.simulator.requests())
    assert 0.95 < second - first < 3.5


@pytest.mark.parametrize("retries", ["gateway", "none"])
def test_a_long_wait(way: Way, stock: Gateway, retries: str) -> None:
    """A wait too long to be sat out is a 429 at once that tells it, whether the gateway may try again or not."""
    if retries == "gateway":
        way.gateway = stock
    way()                               # some clients load their parts with the first request, which takes seconds
    way.simulator.reset()
    seen = way(f"error=rate;retry-after={LONG}")
    assert seen["error"]["status"] == 429
    assert str(LONG) in seen["error"]["message"]
    assert seen["error"]["wait"] in (str(LONG), None)      # None: this client does not show headers
    assert (way.sent(), seen["seconds"] < QUICK) == (1, True)


@pytest.mark.parametrize("fault", ["status=500", "status=503", "status=529", "error=overloaded"])
def test_a_provider_that_fails_once(way: Way, fault: str) -> None:
    """A client that tries again does so where the provider has refused the request for its own reasons."""
    way.simulator.fault(fault, times=1)
    seen = way(retries=2)
    if way.once:
        assert (seen["error"]["status"] >= 500 or seen["error"]["status"] == 429, way.sent()) == (True, 1)
    else:
        assert ("error" not in seen, way.sent()) == (True, 2), seen


@pytest.mark.parametrize("fault", ["error=quota", "error=billing", "error=key", "error=permission"])
def test_what_no_retry_helps(way: Way, fault: str) -> None:
    """What trying again cannot mend is an error after one request, in clients that heed x-should-retry."""
    seen = way(fault, retries=2 if way.heeds else 0)
    assert seen["error"]["status"] >= 400
    assert way.sent() == 1


@pytest.mark.parametrize("way", HEEDING, indirect=True, ids="-".join)
def test_a_provider_that_advises_against_a_retry(way: Way, stock: Gateway) -> None:
    """A provider's `x-should-retry: false` is obeyed by the gateway and, as it is passed on, by the client."""
    way.gateway = stock
    seen = way("status=503;should-retry=false", retries=2)
    assert (seen["error"]["status"] >= 500, way.sent()) == (True, 1)


@pytest.mark.parametrize("way", HEEDING, indirect=True, ids="-".join)
def test_a_provider_that_advises_a_retry(way: Way) -> None:
    """A provider's `x-should-retry: true` is passed on, and the client asks again for what it would else give up."""
    way.simulator.fault("status=400;should-retry=true", times=1)
    assert ("error" not in way(retries=2), way.sent()) == (True, 2)


def test_a_client_that_is_tired_of_waiting(way: Way) -> None:
    """A client's own time limit is its own error, and ends the request at the provider too."""
    seen = way("hang", timeout=400)
    assert "error" in seen and seen["seconds"] < 5
    way.simulator.wait_for(lambda state: len(state["cancelled"]) == 1, seconds=1)


def test_a_provider_that_hangs_up(way: Way) -> None:
    """A connection that the provider closes without an answer is an error that says so."""
    error = way("cut=0")["error"]
    assert error["status"] == 502
    assert "closed the connection without an answer" in error["message"]
