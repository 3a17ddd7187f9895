"""TCP connections: the addresses of a name are raced."""

from __future__ import annotations

import asyncio
import errno
import os
import socket

from edge.net.names import Address

STAGGER_SECONDS = 0.25      # RFC 8305 section 8


async def race(loop: asyncio.AbstractEventLoop, addresses: list[Address]) -> socket.socket:
    """Connects to the first address (of one or more) that answers, each started a moment later, or when one failed."""
    pending: set[asyncio.Task[socket.socket]] = set()
    failure: BaseException | None = None
    waiting = list(addresses)
    try:
        while waiting or pending:
            if waiting:
                pending.add(loop.create_task(dial(loop, waiting.pop(0))))
            done, pending = await asyncio.wait(pending, timeout=STAGGER_SECONDS if waiting else None,
                                               return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task.exception() is None:
                    return task.result()
                failure = task.exception() or failure
    finally:
        for task in pending:
            task.add_done_callback(close_late)
            task.cancel()
    try:
        raise failure or OSError("no address")
    finally:
        # Its traceback holds this frame, and would keep all of it alive until the collector comes.
        del failure, done, task


def close_late(task: asyncio.Task[socket.socket]) -> None:
    """A connection that came after the race was won."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def dial(loop: asyncio.AbstractEventLoop, address: Address) -> socket.socket:
    """One TCP connection. OSError where it fails.

    Not loop.sock_connect: uvloop's starts threads for its getaddrinfo, and a process of one thread makes cheaper
    system calls (no reference counting of descriptors).
    """
    sock = socket.socket(address[0], socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        error = sock.connect_ex(address[1])
        if error == errno.EINPROGRESS:
            writable = asyncio.Event()
            loop.add_writer(sock, writable.set)
            try:
                await writable.wait()
            finally:
                loop.remove_writer(sock)
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
    except BaseException:
        sock.close()
        raise
    return sock
