"""What the supervisor and its children say to each other, over a socket pair that fork made.

Down, from the supervisor: a length (8 bytes, big-endian) and a pickle, and with a new version the descriptor of a
memory that holds it, so that no message is longer than the socket takes at once. Who sends is trusted: it made the
child. Up, from a child: records of one size and five kinds, of which nothing is more than a number and a few words. A
child talks to the network, and who has taken one over must get neither the supervisor's rights nor its time by what it
says: what is no record, and too many of them, is Garbage.

During an upgrade the ends are of two versions. Where they could not understand each other, PROTOCOL differs.
"""

from __future__ import annotations

import os
import pickle
import select
import socket
import struct
import time
from array import array
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from edge.process.memfd import seal, whole

PROTOCOL = 3                # a message is pickled with the name of its module
PATIENCE_MS = 5000          # for an end that does not read
TEXT = 1000                 # bytes of a record's words
FLOOD = 2000                # records of a child in a second
_LENGTH = struct.Struct("!Q")
_RECORD = struct.Struct(f"!BxHQ{TEXT}s")
_PIECE = 1 << 18
_RIGHTS = socket.CMSG_SPACE(16 * array("i").itemsize)


@dataclass(frozen=True, slots=True)
class Prepare:
    """Down: compile this version beside the one in force (values.snapshot, values.registry), and say READY."""

    serial: int
    snapshot: Any = None
    registry: Any = None


@dataclass(frozen=True, slots=True)
class Commit:
    """Down: what was prepared under this number is in force from now on."""

    serial: int


@dataclass(frozen=True, slots=True)
class Abort:
    """Down: what was prepared under this number will never be in force."""

    serial: int


@dataclass(frozen=True, slots=True)
class Reloaded:
    """Down, to control: the version that is in force now, or None and why not. Of each reload one has the id 0."""

    id: int
    version: int | None
    problems: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Drain:
    """Down: begin nothing new, and end within `timeout` seconds."""

    timeout: float


@dataclass(frozen=True, slots=True)
class Retire:
    """Down: a successor serves. Take no new connection; end with the last one, or after `timeout`."""

    timeout: float


Message = Prepare | Commit | Abort | Reloaded | Drain | Retire


class Kind(IntEnum):
    """What a child says."""

    SERVING = 1     # version `number` is in force here
    READY = 2       # what was to be prepared under `number` is
    REFUSED = 3     # it cannot be, and `text` says why
    RELOAD = 4      # control: read the configuration again; `number` comes back with the answer
    DRAINED = 5     # worker: no request is on its way here any more; it waits for a Drain(0) to end


@dataclass(frozen=True, slots=True)
class Record:
    """Up."""

    kind: Kind
    number: int = 0
    text: str = ""


class Garbage(ValueError):
    """A child said what is no record, or too much."""


def publish(snapshot: Any, registry: Any) -> int:
    """The descriptor of a memory that holds a version, which nobody can change any more."""
    descriptor = os.memfd_create("edge-version", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(os.dup(descriptor), "wb") as stream:
        pickle.dump((snapshot, registry), stream, pickle.HIGHEST_PROTOCOL)
    seal(descriptor)
    return descriptor


def send(sock: socket.socket, message: Message, descriptor: int | None = None) -> None:
    """Send one message down; of a Prepare its number and the `descriptor` that `publish` gave.

    OSError when the other end is gone. An end that reads nothing for PATIENCE_MS is cut off, since half a
    message cannot be taken back: it sees the end of the stream, and TimeoutError is raised here.
    """
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    _send(sock, _LENGTH.pack(len(data)) + data, [] if descriptor is None else [descriptor])


def say(sock: socket.socket, record: Record) -> None:
    """Send one record up, likewise."""
    text = record.text.encode(errors="replace")[:TEXT]
    _send(sock, _RECORD.pack(record.kind, len(text), record.number, text), [])


def _send(sock: socket.socket, data: bytes, descriptors: list[int]) -> None:
    # Not socket.send_fds and recv_fds: they take flags and forget them (Python 3.11 to 3.13).
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []
    left = memoryview(data)
    writable = select.poll()
    writable.register(sock, select.POLLOUT)
    while left:
        try:
            left = left[sock.sendmsg([left], rights, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL):]
            rights = []
        except BlockingIOError:
            if not writable.poll(PATIENCE_MS):
                sock.shutdown(socket.SHUT_RDWR)
                raise TimeoutError("the other end of the channel does not read") from None


class Reader:
    """A child's end: takes messages from a socket as they come, for `loop.add_reader`."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()
        self._descriptors: list[int] = []
        self._ended = False

    def read(self) -> list[Message] | None:
        """Messages that are whole by now, without waiting; None: the other end is gone and all is read."""
        while not self._ended:
            try:
                piece, rights, _, _ = self._sock.recvmsg(_PIECE, _RIGHTS, socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                break
            except ConnectionResetError:        # it went away with something of ours unread
                piece, rights = b"", []
            self._ended = not piece
            self._buffer += piece
            for _, _, descriptors in rights:
                self._descriptors += array("i", descriptors)
        messages = []
        while len(self._buffer) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                break
            messages.append(self._whole(pickle.loads(memoryview(self._buffer)[_LENGTH.size:end])))
            del self._buffer[:end]
        return None if self._ended and not messages else messages

    def _whole(self, message: Message) -> Message:
        if not isinstance(message, Prepare):
            return message
        descriptor = self._descriptors.pop(0)
        try:
            return Prepare(message.serial, *pickle.loads(whole(descriptor)))
        finally:
            os.close(descriptor)


class Records:
    """The supervisor's end: takes a child's records, some at a time, so that others have their turn."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = b""
        self._second = 0
        self._count = 0

    @property
    def partial(self) -> bool:
        """Whether a record has begun to come."""
        return bool(self._buffer)

    def read(self) -> list[Record] | None:
        """Records that are whole by now, without waiting; None: the child's end is closed. Garbage."""
        try:
            piece = self._sock.recv(64 * _RECORD.size - len(self._buffer), socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        except ConnectionResetError:            # it went away with something of ours unread
            return None
        if not piece:
            return None
        data = self._buffer + piece
        whole = len(data) // _RECORD.size * _RECORD.size
        self._buffer = data[whole:]
        records = [_record(*fields) for fields in _RECORD.iter_unpack(data[:whole])]
        if (second := int(time.monotonic())) != self._second:
            self._second, self._count = second, 0
        self._count += len(records)
        if self._count > FLOOD:
            raise Garbage(f"more than {FLOOD} records in a second")
        return records


def _record(kind: int, size: int, number: int, text: bytes) -> Record:
    if size > TEXT:
        raise Garbage("a record that is longer than a record")
    try:
        return Record(Kind(kind), number, text[:size].decode(errors="replace"))
    except ValueError:
        raise Garbage("a record of no kind") from None
