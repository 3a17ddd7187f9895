"""Log lines: JSON, one a line, on standard error. Writing them never blocks the event loop."""

from __future__ import annotations

import logging
import logging.handlers
import queue
import traceback
from datetime import UTC, datetime
from typing import Any

import orjson

WAITING = 10000         # lines that may wait for a slow standard error; further ones are counted, not kept


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
            **getattr(record, "facts", {})}
        if record.exc_info and record.exc_info[1] is not None:
            line["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))
        return orjson.dumps(line, default=str).decode()


class Waiting(logging.handlers.QueueHandler):
    """Hands lines to a thread; drops them, and says how many, when standard error cannot take them."""

    dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        """Never waits."""
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1
            return
        if self.dropped:
            lost, self.dropped = self.dropped, 0
            logging.getLogger("edge").warning("log lines were dropped", extra={"facts": {"dropped": lost}})

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Formatted by the thread; threads share memory, so nothing needs to be made picklable."""
        return record


def setup(process: str, *, debug: bool = False, threaded: bool = True) -> logging.Logger:
    """Logging of one process. `threaded` is off where the process forks."""
    handler: logging.Handler = logging.StreamHandler()
    handler.setFormatter(Lines(process))
    if threaded:
        waiting: queue.Queue[Any] = queue.Queue(WAITING)
        logging.handlers.QueueListener(waiting, handler).start()
        handler = Waiting(waiting)
    logger = logging.getLogger("edge")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG if debug else logging.INFO)
    logger.propagate = False
    return logger
