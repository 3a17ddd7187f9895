"""The channel between the supervisor and its children."""

from __future__ import annotations

import os
import pickle
import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.process import channel
from edge.process.channel import (
    FLOOD,
    TEXT,
    Abort,
    Commit,
    Drain,
    Garbage,
    Kind,
    Message,
    Prepare,
    Reader,
    Record,
    Records,
    Reloaded,
    Retire,
    publish,
    say,
    send,
)

Pair = tuple[socket.socket, socket.socket]
MESSAGES: list[Message] = [Commit(1), Abort(2), Reloaded(1, None, ("bad",)), Reloaded(2, 3), Drain(2.5), Retire(1.0)]
RECORDS = [Record(Kind.SERVING, 3), Record(Kind.READY, 2**63), Record(Kind.REFUSED, 4, "not good: \N{SNOWMAN}"),
           Record(Kind.RELOAD, 1), Record(Kind.DRAINED)]
SIZE = struct.calcsize(f"!BxHQ{TEXT}s")


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


def test_records_arrive_in_order_and_equal(pair: Pair) -> None:
    """Every kind of record likewise."""
    for record in RECORDS:
        say(pair[0], record)
    assert Records(pair[1]).read() == RECORDS


def test_versions_of_any_size_pass(pair: Pair) -> None:
    """A version larger than the socket's buffer goes to several children at once, and the sender waits for nobody."""
    large = b"x" * 5_000_000
    memory = publish(large, ["registry"])
    for serial in (1, 2):
        send(pair[0], Prepare(serial), memory)
        send(pair[0], Commit(serial))
    os.close(memory)
    assert Reader(pair[1]).read() == [Prepare(1, large, ["registry"]), Commit(1),
                                      Prepare(2, large, ["registry"]), Commit(2)]


def test_a_version_that_was_published_cannot_be_changed() -> None:
    """Whoever has its descriptor, a child that was taken over among them, can neither write nor cut it."""
    memory = publish("snapshot", "registry")
    with pytest.raises(PermissionError):
        os.pwrite(memory, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(memory, 0)
    os.close(memory)


def test_nothing_yet_is_no_end(pair: Pair) -> None:
    """A read with nothing to read returns at once, with nothing; after the other end's close it says so."""
    reader, records = Reader(pair[1]), Records(pair[0])
    assert reader.read() == [] and records.read() == []
    send(pair[0], Commit(1))
    pair[0].close()
    assert reader.read() == [Commit(1)]
    assert reader.read() is None
    assert reader.read() is None


@pytest.mark.parametrize("reader", [Reader, Records])
def test_reset_is_an_end(pair: Pair, reader: type[Reader] | type[Records]) -> None:
    """An end that goes away with something unread ends the channel like one that read everything."""
    say(pair[1], Record(Kind.READY))
    pair[0].close()
    assert reader(pair[1]).read() is None


@given(cuts=st.lists(st.integers(1, 3000), max_size=30), down=st.booleans())
def test_any_cut(cuts: list[int], down: bool) -> None:
    """A message or record is complete when its last byte is there, wherever the kernel cut the stream."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for message, record in zip(MESSAGES, RECORDS, strict=False):
            send(ours, message) if down else say(ours, record)
        data = theirs.recv(1 << 20)
        reader: Reader | Records = Reader(theirs) if down else Records(theirs)
        seen: list[Message | Record] = []
        for size in [*cuts, len(data)]:
            if data:
                ours.sendall(data[:size])
                data = data[size:]
                seen += reader.read() or []
        assert seen == (MESSAGES[:5] if down else RECORDS)


class Evil:
    """What runs a command when it is unpickled."""

    def __reduce__(self) -> object:
        return os.abort, ()


@given(data=st.one_of(
    st.binary(min_size=SIZE), st.just(len(pickle.dumps(Evil())).to_bytes(8, "big") + pickle.dumps(Evil()) * 100),
    st.builds(lambda kind, size, rest: struct.pack("!BxHQ", kind, size, 1) + rest, st.integers(0, 255),
              st.integers(0, 65535), st.binary(min_size=TEXT, max_size=3 * TEXT))))
def test_garbage(data: bytes) -> None:
    """Whatever a child says, it is a record of a known kind with few words, or Garbage; nothing of it is run."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(data)
        try:
            found = Records(theirs).read()
        except Garbage:
            return
        assert found is not None
        assert all(record.kind in Kind and len(record.text) <= TEXT for record in found)


def test_a_flood(pair: Pair) -> None:
    """A child that says too much is found out soon, and one read of it is never long."""
    records = Records(pair[1])
    with pytest.raises(Garbage):
        for _ in range(2 * FLOOD):
            say(pair[0], Record(Kind.DRAINED))
            assert len(records.read() or ()) <= 64


def test_an_end_that_does_not_read_is_cut_off(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender waits for a full channel only so long; the other end then sees the stream's end, no half message."""
    monkeypatch.setattr(channel, "PATIENCE_MS", 10)
    with pytest.raises(TimeoutError):
        send(pair[0], Reloaded(1, None, ("x" * 5_000_000,)))
    assert Reader(pair[1]).read() is None


def test_sending_to_nobody_is_an_error(pair: Pair) -> None:
    """A message for an end that is gone raises OSError, and no signal kills the sender."""
    pair[1].close()
    with pytest.raises(OSError):
        send(pair[0], Commit(1))
    with pytest.raises(OSError):
        say(pair[0], Record(Kind.DRAINED))
