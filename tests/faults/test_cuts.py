"""A sample of what `python -m tests.faults.cuts` tries in full: every boundary, and some positions between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.faults.cuts import ANSWERS, ENDS, STREAMS, Sdks, Seen, Whole, broken, stage, try_cuts, try_events, whole
from tests.support.simulator import Simulator

GOOD = Whole(Seen("You said", "stop", True), b"HTTP/1.1 200 OK\r\n\r\ndata: {}\r\n0\r\n\r\n")


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Simulator, Sdks]]:
    """The provider and both SDKs, with the gateway between."""
    with ExitStack() as stack:
        simulator, _, sdks = stage(stack)
        yield simulator, sdks


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", ANSWERS)
def test_cut_points(running: tuple[Simulator, Sdks], name: str, end: str) -> None:
    """Wherever the provider breaks off, the SDK's user gets the whole answer with its finish, or an exception."""
    simulator, sdks = running
    good = whole(name, sdks, simulator)
    tried = try_cuts(name, end, sdks, good, good.sample(seed=len(name)))
    assert tried.broken == []
    assert 0 < tried.successes < tried.tries


@pytest.mark.parametrize("name", STREAMS)
def test_at_each_event(running: tuple[Simulator, Sdks], name: str) -> None:
    """A stream that stalls or fails at any of its events, or ends without the last, is an exception."""
    simulator, sdks = running
    good = whole(name, sdks, simulator)
    tried = try_events(name, sdks, good)
    assert [one.broken for one in tried] == [[]] * 3
    assert [one.tries for one in tried] == [good.events, good.events, 1]


@pytest.mark.parametrize("seen", [
    Seen("You", "stop", True), Seen("You said", None, True), Seen("You said", "stop", False), Seen("", None, False),
    Seen("You said", "length", True), Seen("You said", "stop", True, ValueError("Expecting value"))])
def test_what_is_broken(seen: Seen) -> None:
    """A part, an invented finish, a missing end and an exception of another kind are each told from a success."""
    assert broken(seen, GOOD, may_succeed=True)
