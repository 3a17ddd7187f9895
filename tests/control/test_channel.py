"""The channel between the supervisor and its children."""

from __future__ import annotations

import pickle
import selectors
import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import channel
from edge.channel import Drain, Failed, Load, Loaded, Message, Reader, Reload, Reloaded, send

Pair = tuple[socket.socket, socket.socket]
MESSAGES: list[Message] = [
    Load({"a": 1}, ["x"]), Loaded(3), Failed("no"), Reload(1), Reloaded(1, None, ("bad",)), Drain(2.5)]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Both ends."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_messages_arrive_in_order_and_equal(pair: Pair) -> None:
    """Every kind of message comes out as it went in, many of them by one read."""
    for message in MESSAGES:
        send(pair[0], message)
    assert Reader(pair[1]).read() == MESSAGES


def test_nothing_yet_is_no_end(pair: Pair) -> None:
    """A read with nothing to read returns at once, with no messages; after the other end's close it says so."""
    reader = Reader(pair[1])
    assert reader.read() == []
    send(pair[0], Loaded(1))
    pair[0].close()
    assert reader.read() == [Loaded(1)]
    assert reader.read() is None
    assert reader.read() is None


def test_reset_is_an_end(pair: Pair) -> None:
    """An end that goes away with something unread ends the channel like one that read everything."""
    send(pair[1], Loaded(1))
    pair[0].close()
    assert Reader(pair[1]).read() is None


@given(cuts=st.lists(st.integers(1, 200), max_size=30))
def test_messages_survive_any_cut(cuts: list[int]) -> None:
    """A message is complete when its last byte is there, wherever the kernel cut the stream."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        data = b""
        for message in MESSAGES:
            pickled = pickle.dumps(message)
            data += len(pickled).to_bytes(8, "big") + pickled
        reader, seen = Reader(theirs), []
        for size in [*cuts, len(data)]:
            if data:
                ours.sendall(data[:size])
                data = data[size:]
                seen += reader.read() or []
        assert seen == MESSAGES


@pytest.mark.parametrize("blocking", [True, False])
def test_snapshots_of_any_size_pass(pair: Pair, blocking: bool) -> None:
    """A message larger than the socket's buffer arrives whole, from blocking and non-blocking senders."""
    pair[0].setblocking(blocking)
    large = Load(b"x" * 5_000_000, None)
    sender = threading.Thread(target=send, args=(pair[0], large))
    sender.start()
    reader, seen = Reader(pair[1]), []
    with selectors.DefaultSelector() as selector:
        selector.register(pair[1], selectors.EVENT_READ)
        while not seen:
            assert selector.select(20)
            seen += reader.read() or []
    sender.join()
    assert seen == [large]


def test_an_end_that_does_not_read_is_cut_off(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender waits for a full channel only so long; the other end then sees the stream's end, no half message."""
    monkeypatch.setattr(channel, "PATIENCE_MS", 10)
    with pytest.raises(TimeoutError):
        send(pair[0], Load(b"x" * 5_000_000, None))
    assert Reader(pair[1]).read() is None


def test_sending_to_nobody_is_an_error(pair: Pair) -> None:
    """A message for an end that is gone raises OSError, and no signal kills the sender."""
    pair[1].close()
    with pytest.raises(OSError):
        send(pair[0], Loaded(1))
