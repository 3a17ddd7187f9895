"""Requests that have ended: the access log, traces, and those that are kept for who asks about them.

Workers leave a line of each in the shared memory. A thread takes them out and writes them, so that a disk or a pipe
that stands still holds up nobody else: not the admin port, and not the workers, which lose lines then, and count them.
A file that is opened anew has a thread of its own, as the one before may never come back from the pipe it writes to.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import orjson

from edge._fast import Lines, Slab
from edge.control.traces import Traces
from edge.values.printable import printable
from edge.values.snapshot import AccessLog, Tracing

KEPT = 4096                 # requests, the newest
BEHIND = 1 << 24            # bytes that may wait for the file
MUCH = 1 << 16              # bytes at one look, after which the next comes soon
SOON, LATER, IDLE = 0.05, 0.2, 1.0      # seconds between two looks: after much, after little, and without an access log
END_SECONDS = 1.0           # that the last lines have to be written in
HANGS_SECONDS = 1.0         # that a thread has to come back from a file which is not the one in force any more
STDOUT = 1

log = logging.getLogger("edge")


class Requests:
    """`find` and `last` are for the admin port; the thread is another's than the loop's, and begins with `start`."""

    def __init__(self, slab: Slab) -> None:
        self.lines = Lines(slab)
        self.traces = Traces()
        self.lock = threading.Lock()        # of all that follows
        self.kept: OrderedDict[str, bytes] = OrderedDict()
        self.waiting: list[bytes] = []
        self.behind = 0                     # bytes of them
        self.unwritten = 0                  # lines that were lost for want of a place to write them
        self.file: File | None = None
        self.hand: tuple[File, int] | None = None       # the file that is being written to, and how many lines
        self.woken = threading.Event()
        self.ended = False
        self.thread: threading.Thread | None = None

    def start(self) -> None:
        """From now on lines are taken, by another thread than before."""
        self.thread = threading.Thread(target=self.run, args=(self.thread,), name="access-log", daemon=True)
        self.thread.start()

    def load(self, wanted: AccessLog | None, tracing: Tracing | None = None) -> None:
        """What the version in force wants of them; the access log's file is opened anew in any case."""
        with self.lock:
            self.traces.load(tracing)
            self.file = None if wanted is None else File(wanted)
            self.start()

    def reopen(self) -> None:
        """The file has another name now, and another is to be begun."""
        with self.lock:
            if self.file is not None:
                self.file = File(self.file.wanted)
                self.start()

    @property
    def lost(self) -> dict[str, int]:
        """Lines that never came to the file, by why: the thread was too slow, or the file did not take them."""
        return {"behind": self.lines.lost, "unwritten": self.unwritten}

    def find(self, request: str) -> dict[str, Any] | None:
        """One of the kept."""
        self.gather()
        with self.lock:
            line = self.kept.get(request)
        return None if line is None else orjson.loads(line)

    def last(self, count: int) -> list[dict[str, Any]]:
        """The newest of the kept, the last one first."""
        self.gather()
        with self.lock:
            lines = list(self.kept.values())[-count:]
        return [orjson.loads(line) for line in reversed(lines)]

    def gather(self) -> None:
        """Takes what workers have left."""
        with self.lock:
            logged, kept, traced = self.lines.take()
            if traced:
                self.traces.put(traced)
            for line in kept:
                name = orjson.loads(line)["request_id"]
                self.kept.pop(name, None)
                self.kept[name] = line
            while len(self.kept) > KEPT:
                self.kept.popitem(last=False)
            if not logged:
                return
            if self.file is None or self.behind + len(logged) > BEHIND:
                self.unwritten += logged.count(b"\n")
                return
            self.waiting.append(logged)
            self.behind += len(logged)

    def run(self, before: threading.Thread | None) -> None:
        """The thread's, after the one before it."""
        self.woken.set()
        if before is not None:
            before.join(HANGS_SECONDS)
            self.give_up()
        taken = 0
        while not self.ended and self.thread is threading.current_thread():
            idle = self.file is None and not self.traces.wanted
            self.woken.wait(IDLE if idle else SOON if taken > MUCH else LATER)
            self.woken.clear()
            taken = self.turn()

    def turn(self) -> int:
        """Takes what there is and writes it: so many bytes. Whatever goes wrong, the next turn is another try."""
        size, lost = 0, 0
        try:
            self.gather()
            with self.lock:
                lines, self.waiting, file = b"".join(self.waiting), [], self.file
                size, self.behind = self.behind, 0
                if file is None:
                    return size
                hand = self.hand = file, lines.count(b"\n")
            try:
                lost = file.write(lines)
            finally:
                with self.lock:
                    if self.hand is hand:
                        self.hand = None
                        self.unwritten += lost
        except Exception:
            log.exception("the access log")
        return size

    def give_up(self) -> None:
        """The file before this one may hang: what is being written to it counts as lost, whatever becomes of it."""
        with self.lock:
            if self.hand is not None and self.hand[0] is not self.file:
                file, lines = self.hand
                self.hand = None
                self.unwritten += lines
                file.tell("it takes no lines")

    def end(self) -> None:
        """The last lines, if the file takes them in time."""
        self.ended = True
        self.woken.set()
        if self.thread is not None:
            self.thread.join(END_SECONDS)
        self.traces.end()
        if self.thread is not None and not self.thread.is_alive():
            last = threading.Thread(target=self.turn, daemon=True)
            last.start()
            last.join(END_SECONDS)


class File:
    """Where lines go. One that was moved away, or is there no more, is begun anew."""

    def __init__(self, wanted: AccessLog) -> None:
        self.wanted = wanted
        self.descriptor = -1
        self.torn = False               # the last line has no end
        self.fault = ""                 # why it was not written to

    def __del__(self) -> None:
        if self.descriptor > STDOUT:
            os.close(self.descriptor)

    def write(self, lines: bytes) -> int:
        """How many of the lines were lost."""
        if not lines:
            return 0
        data = lines if self.wanted.form == "json" else b"".join(map(console, lines.splitlines()))
        sent = 0
        try:
            self.open()
            data = b"\n" * self.torn + data
            while sent < len(data):         # a full disk takes a part of them first
                sent += os.write(self.descriptor, data[sent:])
        except OSError as error:
            self.tell(error.strerror or str(error))
            self.torn = self.torn if sent == 0 else not data[:sent].endswith(b"\n")
            return data[sent:].count(b"\n")
        self.torn = False
        self.tell("")
        return 0

    def open(self) -> None:
        """OSError: it cannot be."""
        if self.wanted.path == "-":
            self.descriptor = STDOUT
            return
        if self.descriptor >= 0:
            with contextlib.suppress(FileNotFoundError):
                there, ours = Path(self.wanted.path).stat(), os.fstat(self.descriptor)
                if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                    return
            os.close(self.descriptor)
            self.descriptor = -1
        self.descriptor = os.open(self.wanted.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def tell(self, fault: str) -> None:
        """Once, when something is wrong, and once when nothing is any more."""
        if fault and fault != self.fault:
            log.warning("the access log is not written", extra={"facts": {"path": self.wanted.path, "reason": fault}})
        elif self.fault and not fault:
            log.info("the access log is written again", extra={"facts": {"path": self.wanted.path}})
        self.fault = fault


def console(line: bytes) -> bytes:
    """A line for people: what it is about first, and what is seldom wanted left out."""
    said = orjson.loads(line)
    parts = [said["time"], said.get("address", "-"), said.get("method", "-"), said.get("path", "-"),
             str(said.get("status", "-")), said["condition"], f"{said['seconds']:.3f}s"]
    parts += [f"{name}={said[name]}" for name in ("key", "model", "target", "attempts", "input_tokens",
                                                  "output_tokens") if name in said]
    return printable(" ".join([*parts, f"id={said['request_id']}"])).encode() + b"\n"
