"""Memory of connections: resident bytes of the target's processes before and after many are opened."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from .load import PATH
from .processes import Trouble, resident_bytes
from .requests import Plan
from .targets import Target

WARM = 64                   # connections opened and closed before, so that code and pools are there already
SETTLE = 1.5                # seconds until connections that were closed are gone in the target


@contextmanager
def held(target: Target, plan: Plan, count: int, until: bytes) -> Iterator[None]:
    """`count` connections, each with one request answered up to `until`, and left open."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in plan.headers.items())
    request = (f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\n{lines}"
               f"Content-Length: {len(plan.body)}\r\n\r\n").encode() + plan.body
    with ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", target.port), 15))
            connection.sendall(request)
            seen = b""
            while until not in seen:
                piece = connection.recv(65536)
                if not piece:
                    raise Trouble(f"{target.name} closed a connection after {seen[:300]!r}")
                seen += piece
            if not seen.startswith(b"HTTP/1.1 200 "):
                raise Trouble(f"{target.name}: {seen[:300]!r}")
        yield


def per_connection(target: Target, plan: Plan, count: int, until: bytes) -> float:
    """Resident bytes that each of `count` held connections adds."""
    with held(target, plan, WARM, until):
        pass
    time.sleep(SETTLE)
    before = resident_bytes(target.pid)
    with held(target, plan, count, until):
        time.sleep(SETTLE)
        return (resident_bytes(target.pid) - before) / count
