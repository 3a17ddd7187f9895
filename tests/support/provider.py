"""A provider that says what a test's script says, byte for byte; for what the simulator has no fault for."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

GOOD = b'{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"%s"}}]}'


def answer(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    """A JSON answer."""
    lines = b"".join(b"%s\r\n" % field for field in fields)
    return b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%s\r\n%s" % (
        status, len(body), lines, body)


def said(content: bytes = b"hello") -> bytes:
    """A good chat answer."""
    return answer(GOOD % content)


class Line:
    """One connection of the gateway, from the provider's side. A script that returns closes it."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.socket = sock
        self.number = number            # connections are numbered from 0
        self.buffer = b""

    def head(self) -> bytes:
        """The next request's head; b"" when the gateway has closed."""
        while b"\r\n\r\n" not in self.buffer:
            piece = self.socket.recv(65536)
            if not piece:
                return b""
            self.buffer += piece
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head

    def request(self) -> bytes:
        """The next whole request; b"" when the gateway has closed."""
        head = self.head()
        length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
                       if line.startswith(b"content-length:")), 0)
        while len(self.buffer) < length:
            piece = self.socket.recv(1 << 20)
            if not piece:
                return b""
            self.buffer += piece
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return head + b"\r\n\r\n" + body if head else b""

    def send(self, data: bytes) -> None:
        """Bytes."""
        self.socket.sendall(data)

    def reset(self) -> None:
        """Ends with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Provider:
    """Runs `script(line)` in a thread for each connection, while the `with` block lasts."""

    def __init__(self, script: Callable[[Line], None], host: str = "127.0.0.1") -> None:
        self.script = script
        self.connections = 0
        self.lines: list[Line] = []
        self.faults: list[BaseException] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, 0), family=family, backlog=256)
        self.port: int = self.listener.getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Provider:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.hang_up()
        self._thread.join(10)
        assert self.faults == []

    def hang_up(self) -> None:
        """Ends all connections now. (Closing alone would wait for the thread that reads.)"""
        for line in self.lines:
            with contextlib.suppress(OSError):
                line.socket.shutdown(socket.SHUT_RDWR)
        self.lines.clear()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line = Line(sock, self.connections)
            self.connections += 1
            self.lines.append(line)
            threading.Thread(target=self._serve, args=[line], daemon=True).start()

    def _serve(self, line: Line) -> None:
        try:
            self.script(line)
        except OSError:
            pass                        # the gateway has left, as it may
        except BaseException as error:
            self.faults.append(error)
        finally:
            line.socket.close()


def echo(line: Line) -> None:
    """A script: a good answer to every request, its content the request's last 20 letters of `text-...`."""
    while request := line.request():
        begin = request.rfind(b"text-")
        line.send(said(request[begin:request.index(b'"', begin)] if begin >= 0 else b"none"))
