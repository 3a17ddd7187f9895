"""How many answers are worked on at once: all that come, or as many as a model server has room for."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any


class Seats:
    """At most `capacity` guests sit at once, the others wait in the order in which they came, at most `queue`.

    A guest is an answer; it is told of by its model. None: any number.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, capacity: int | None, queue: int | None) -> None:
        self._loop = loop
        self._capacity = capacity
        self._queue = queue
        self._sitting: dict[Hashable, str] = {}
        self._waiting: dict[Hashable, tuple[str, Callable[[], None]]] = {}      # in order
        self._open: Counter[str] = Counter()
        self.forget()

    def forget(self) -> None:
        """The peaks are what is open now."""
        self._peak = len(self._sitting)
        self._peaks = Counter({model: count for model, count in self._open.items() if count})

    @property
    def full(self) -> bool:
        """Whether a further guest could not even wait."""
        return (self._capacity is not None and self._queue is not None
                and len(self._sitting) >= self._capacity and len(self._waiting) >= self._queue)

    def enter(self, guest: Hashable, model: str, begin: Callable[[], None]) -> None:
        """Give the guest a seat and call `begin`; when all are taken, do so as soon as one is free."""
        if self._capacity is None or len(self._sitting) < self._capacity:
            self._sit(guest, model)
            begin()
        else:
            self._waiting[guest] = model, begin

    def leave(self, guest: Hashable) -> None:
        """The guest needs its seat, or its place among those who wait, no more. One who has neither is no error."""
        if self._waiting.pop(guest, None) is not None or guest not in self._sitting:
            return
        self._open[self._sitting.pop(guest)] -= 1
        if self._waiting:
            following = next(iter(self._waiting))
            model, begin = self._waiting.pop(following)
            self._sit(following, model)
            self._loop.call_soon(begin)         # not here: an answer that is over at once would call us again

    def _sit(self, guest: Hashable, model: str) -> None:
        self._sitting[guest] = model
        self._open[model] += 1
        self._peak = max(self._peak, len(self._sitting))
        self._peaks[model] = max(self._peaks[model], self._open[model])

    def show(self) -> dict[str, Any]:
        """What GET /_simulate tells: how many sit and wait now, the most that sat at once, and the same by model."""
        return {"open": len(self._sitting), "peak": self._peak, "waiting": len(self._waiting),
                "models": {model: {"open": self._open[model], "peak": peak} for model, peak in self._peaks.items()}}
