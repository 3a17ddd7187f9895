"""A provider whose every byte the test sends itself, when it wants: order instead of clocks."""

from __future__ import annotations

import json
import re
import select
import socket
import struct
from types import TracebackType
from typing import Any

from tests.support.patience import PATIENCE

LINGER_ZERO = struct.pack("ii", 1, 0)       # close() then sends a RST: socket(7)


class Asked:
    """A request as the provider got it."""

    def __init__(self, head: bytes, body: bytes) -> None:
        self.head = head
        self.body = body
        self.line, *lines = head.decode("latin-1").split("\r\n")
        self.fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def field(self, name: str) -> str | None:
        """The field's value, None where it is absent; AssertionError where it is there twice."""
        found = [value for key, value in self.fields if key == name]
        assert len(found) < 2, f"{name} {len(found)} times"
        return found[0] if found else None


class Meeting:
    """One connection of the gateway's."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""

    def asked(self) -> Asked:
        """The next request, whole. The gateway gives every body a length."""
        while b"\r\n\r\n" not in self._read:
            self._more()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        assert b"\r\ntransfer-encoding:" not in head.lower()
        found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        size = int(found[1]) if found else 0
        while len(self._read) < size:
            self._more()
        body, self._read = self._read[:size], self._read[size:]
        return Asked(head, body)

    def _more(self) -> None:
        piece = self.socket.recv(1 << 20)
        assert piece, "the gateway has closed"
        self._read += piece

    def send(self, data: bytes | memoryview) -> Meeting:
        """Send bytes."""
        self.socket.sendall(data)
        return self

    def send_some(self, data: bytes, seconds: float) -> int:
        """Send what the gateway takes until it takes nothing for so long; returns how many bytes."""
        sent = 0
        left = memoryview(data)
        self.socket.setblocking(False)
        while left and select.select([], [self.socket], [], seconds)[1]:
            count = self.socket.send(left)
            left = left[count:]
            sent += count
        self.socket.settimeout(PATIENCE)
        return sent

    def has_closed(self, seconds: float = PATIENCE) -> bool:
        """Whether the gateway closes within so long."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def close(self) -> None:
        """End with a FIN."""
        self.socket.close()

    def reset(self) -> None:
        """End with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        self.socket.close()


class Script:
    """The provider; its connections end with the test."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._meetings: list[Meeting] = []

    def __enter__(self) -> Script:
        self._turn_away()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._turn_away()
        for meeting in self._meetings:
            meeting.close()

    def _turn_away(self) -> None:
        while select.select([self._listener], [], [], 0)[0]:
            self._listener.accept()[0].close()

    def meet(self) -> Meeting:
        """The gateway's next connection. One that it has closed already was for a client of the test before."""
        self._listener.settimeout(PATIENCE)
        sock = self._listener.accept()[0]
        while has_ended(sock):
            sock.close()
            sock = self._listener.accept()[0]
        self._meetings.append(Meeting(sock))
        return self._meetings[-1]


def has_ended(sock: socket.socket) -> bool:
    """Whether its other side has closed, whatever is unread (poll(2), POLLRDHUP)."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return bool(poll.poll(0))


def answer(body: bytes, *, status: str = "200 OK", fields: str = "content-type: application/json\r\n") -> bytes:
    """A plain answer with its length."""
    return f"HTTP/1.1 {status}\r\n{fields}content-length: {len(body)}\r\n\r\n".encode() + body


def stream_head(fields: str = "") -> bytes:
    """The head of a stream in chunks."""
    return (f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n{fields}"
            "transfer-encoding: chunked\r\n\r\n").encode()


def chunk(data: bytes) -> bytes:
    """One chunk; of no data: the last one."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def completion(text: str = "hello", **more: Any) -> bytes:
    """A chat completion."""
    return json.dumps({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "scripted", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}], **more}).encode()


def message(text: str = "hello", **more: Any) -> bytes:
    """Anthropic's message."""
    return json.dumps({"id": "msg_1", "type": "message", "role": "assistant", "model": "scripted", "stop_reason":
                       "end_turn", "stop_sequence": None, "content": [{"type": "text", "text": text}],
                       "usage": {"input_tokens": 3, "output_tokens": 2}, **more}).encode()
