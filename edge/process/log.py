"""Log lines: JSON, one a line, on standard error. Writing them never blocks, and takes no thread.

A thread would do for the first, but a process of one thread makes cheaper system calls: 2 % of a request's CPU here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import stat
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

LONGEST = 256               # bytes of one value: many come from outside


class Lines(logging.Formatter):
    """`{"time", "level", "process", "message", ...}`; what a record carries in `facts` is spread beside them."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self.process = process

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(), "process": self.process, "message": record.getMessage(),
            **{name: shown(value) for name, value in getattr(record, "facts", {}).items()}}
        if record.exc_info and record.exc_info[1] is not None:
            line["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))
        return orjson.dumps(line, default=str).decode()


def shown(value: object) -> object:
    """A value as the log has it: bytes as the text that they are, and of a text no more than LONGEST bytes."""
    if isinstance(value, str):
        value = value.encode("utf-8", "replace")
    if not isinstance(value, bytes):
        return value
    if len(value) > LONGEST:
        return value[:LONGEST].decode("utf-8", "ignore") + "..."
    return value.decode("utf-8", "replace")


class Sink(logging.Handler):
    """Standard error through a descriptor of its own that does not block; what it cannot take is dropped and counted.

    The shared descriptor stays as it is: O_NONBLOCK belongs to all who hold it, the shell among them. A file is written
    to through the shared one, which never blocks: its offset is all writers', and who opens it anew writes over what
    the others have written. Nothing here closes a descriptor when it goes: a child has closed those of its parent by
    their numbers, which are others' by then.
    """

    def __init__(self, lost: Callable[[], None]) -> None:
        super().__init__()
        self.lost = lost
        self.dropped = 0
        self.torn = False           # the last line that was written has no end
        self.descriptor, self.is_socket = 2, False
        with contextlib.suppress(OSError):
            mode = os.fstat(2).st_mode
            self.is_socket = stat.S_ISSOCK(mode)
            if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
                self.descriptor = os.open("/proc/self/fd/2", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def emit(self, record: logging.LogRecord) -> None:
        """One line, or none."""
        line = self.format(record)
        if self.dropped:
            line = orjson.dumps({"level": "warning", "message": "log lines were dropped",
                                 "dropped": self.dropped}).decode() + "\n" + line
        data = b"\n" * self.torn + line.encode() + b"\n"
        sent = 0
        with contextlib.suppress(OSError):
            sent = send(data) if self.is_socket else os.write(self.descriptor, data)
        if sent == len(data):
            self.dropped, self.torn = 0, False
        else:
            self.dropped += 1
            self.torn = self.torn or sent > 0
            self.lost()


def send(data: bytes) -> int:
    """What standard error takes now, where it is a socket (systemd's journal is one)."""
    borrowed = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=2)
    try:
        return borrowed.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    finally:
        borrowed.detach()


def setup(process: str, *, debug: bool = False, lost: Callable[[], None] = lambda: None) -> logging.Logger:
    """Logging of one process; `lost` is called for each line that could not be written whole."""
    handler = Sink(lost)
    handler.setFormatter(Lines(process))
    logger = logging.getLogger("edge")
    logger.handlers[:] = [handler]
    logger.setLevel(level(debug))
    logger.propagate = False
    return logger


def level(debug: bool) -> int:
    """The least level of lines that are written."""
    return logging.DEBUG if debug else logging.INFO
