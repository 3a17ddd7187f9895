"""One answer on its way: takes its steps one by one, as the clock and the client's reading allow."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator

from edge.simulator.framing import End, Step


class Playback:
    """Writes steps to a transport, then calls `done`: with an End when the connection shall end too.

    Two writes never share a turn of the loop, so that each event goes out by itself; while the client does
    not read, no step is taken, so that a stream of any length holds little memory.
    """

    __slots__ = ("_done", "_due", "_held", "_loop", "_paused", "_steps", "_timer", "_transport", "sent")

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, steps: Iterator[Step],
                 done: Callable[[End | None], None]) -> None:
        self._loop = loop
        self._transport = transport
        self._steps = steps
        self._done = done
        self._held: bytes | None = None
        self._timer: asyncio.Handle | None = None
        self._paused = False
        self._due = False           # a step waits for the client to read
        self.sent = 0               # bytes

    def advance(self) -> None:
        """Take steps up to the next pause."""
        self._timer = None
        if self._paused:
            self._due = True
            return
        wrote = False
        if self._held is not None:
            self._write(self._held)
            self._held, wrote = None, True
        for step in self._steps:
            if isinstance(step, bytes):
                if wrote:
                    self._held = step
                    self._timer = self._loop.call_soon(self.advance)
                    return
                self._write(step)
                wrote = True
            elif isinstance(step, float):
                if step != math.inf:
                    self._timer = self._loop.call_later(step, self.advance)
                return
            else:
                self._done(step)
                return
        self._done(None)

    def _write(self, data: bytes) -> None:
        self._transport.write(data)
        self.sent += len(data)

    def pause(self) -> None:
        """The client does not read."""
        self._paused = True

    def resume(self) -> None:
        """The client reads again."""
        self._paused = False
        if self._due:
            self._due = False
            self.advance()

    def stop(self) -> None:
        """Take no further step."""
        if self._timer is not None:
            self._timer.cancel()
        self._steps, self._held = iter(()), None
