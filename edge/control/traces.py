"""Requests that a tracing backend is told of. What tells it is imported where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.values.snapshot import Tracing

if TYPE_CHECKING:
    from edge.control.otlp import Sender

END_SECONDS = 1.0           # that the last requests have to be told of in


class Traces:
    """`put` is called with what has come, by whoever takes it from the workers."""

    def __init__(self) -> None:
        self.sender: Sender | None = None
        self.sent = 0                               # spans
        self.lost = {"behind": 0, "refused": 0}     # requests, by why: the queue was full, or the backend wants none

    def load(self, wanted: Tracing | None) -> None:
        """The version in force. What waits for another backend goes to that one still, if it takes it soon."""
        if wanted == (self.sender.wanted if self.sender is not None else None):
            return
        if self.sender is not None:
            self.sender.end()
        self.sender = None
        if wanted is not None:
            from edge.control.otlp import Sender
            self.sender = Sender(wanted, self)

    def put(self, lines: list[bytes]) -> None:
        """Requests to tell of, as their lines."""
        if self.sender is None:
            self.lost["behind"] += len(lines)
        else:
            self.sender.put(lines)

    def end(self) -> None:
        """The last ones, if the backend takes them at once."""
        if self.sender is not None:
            self.sender.end()
            self.sender.thread.join(END_SECONDS)

    @property
    def wanted(self) -> bool:
        """Whether there is a backend."""
        return self.sender is not None
