"""What the supervisor and its children say to each other: pickled messages over a socket pair that fork made.

A message is a length (8 bytes, big-endian) and a pickle. The stream socket takes snapshots of any size.
Pickle is safe here: both ends are this program, and nobody else can reach the pair. During an upgrade the ends are of
two versions: Retire, Drain, Drained, Reload and Reloaded keep their names and their fields.
"""

from __future__ import annotations

import pickle
import select
import socket
import struct
from dataclasses import dataclass
from typing import Any

PATIENCE_MS = 5000          # for an end that does not read
_LENGTH = struct.Struct("!Q")
_PIECE = 1 << 18


@dataclass(frozen=True, slots=True)
class Load:
    """Supervisor to child: a new version is in force (catalogue.Snapshot, registry.Registry)."""

    snapshot: Any
    registry: Any


@dataclass(frozen=True, slots=True)
class Loaded:
    """Child to supervisor: this version is in force here, from the start or by `Load`."""

    version: int


@dataclass(frozen=True, slots=True)
class Failed:
    """Child to supervisor: the version last sent was not taken over; the one before is still in force."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reload:
    """Control to supervisor: read the configuration again. `id` comes back with the answer."""

    id: int


@dataclass(frozen=True, slots=True)
class Reloaded:
    """Supervisor to control: the version that is in force now, or None and the problems of the file."""

    id: int
    version: int | None
    problems: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Drain:
    """Supervisor to child: begin nothing new, and end within `timeout` seconds."""

    timeout: float


@dataclass(frozen=True, slots=True)
class Drained:
    """Worker to supervisor: no request is on its way here any more. It waits for a Drain(0) to end."""


@dataclass(frozen=True, slots=True)
class Retire:
    """Supervisor to child: a successor serves. Take no new connection; end with the last one, or after `timeout`."""

    timeout: float


Message = Load | Loaded | Failed | Reload | Reloaded | Drain | Drained | Retire


def send(sock: socket.socket, message: Message) -> None:
    """Send one message, on a blocking or non-blocking socket.

    OSError when the other end is gone. An end that reads nothing for PATIENCE_MS is cut off, since half a
    message cannot be taken back: it sees the end of the stream, and TimeoutError is raised here.
    """
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    left = memoryview(_LENGTH.pack(len(data)) + data)
    writable = select.poll()
    writable.register(sock, select.POLLOUT)
    while left:
        try:
            left = left[sock.send(left, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL):]
        except BlockingIOError:
            if not writable.poll(PATIENCE_MS):
                sock.shutdown(socket.SHUT_RDWR)
                raise TimeoutError("the other end of the channel does not read") from None


class Reader:
    """Takes messages from a socket as they come, for `loop.add_reader` and for selectors."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()
        self._ended = False

    @property
    def partial(self) -> bool:
        """Whether a message has begun to come."""
        return bool(self._buffer)

    def read(self) -> list[Message] | None:
        """Messages that are whole by now, without waiting; None: the other end is gone and all is read."""
        while not self._ended:
            try:
                piece = self._sock.recv(_PIECE, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except ConnectionResetError:        # it went away with something of ours unread
                piece = b""
            self._ended = not piece
            self._buffer += piece
        messages = []
        while len(self._buffer) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                break
            messages.append(pickle.loads(memoryview(self._buffer)[_LENGTH.size:end]))
            del self._buffer[:end]
        return None if self._ended and not messages else messages
