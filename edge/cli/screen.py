"""A terminal that a command has to itself for a while: all of the screen, and single keys; then it is as it was."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from types import FrameType
from typing import Any
from unicodedata import combining, east_asian_width

import click

HERE, THERE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"    # the other screen without a cursor, and back
TOP, REST_OF_LINE, REST = "\x1b[H", "\x1b[K", "\x1b[J"
USUAL = (80, 24)                # of a terminal that does not know its size
RESIZED, ENDED = "resized", "ended"

Line = tuple[str, str]          # a style's name and the text
STYLES: dict[str, dict[str, Any]] = {"": {}, "head": {"bold": True}, "bad": {"fg": "red"}, "warn": {"fg": "yellow"}}
PLAIN: dict[str, dict[str, Any]] = {"": {}, "head": {"bold": True}, "bad": {"bold": True}, "warn": {}}     # https://no-color.org


def is_terminal() -> bool:
    """Whether standard output is a terminal that can be drawn on."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def width(text: str) -> int:
    """How many columns a terminal shows printable text in."""
    return len(text) if text.isascii() else sum(
        0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text)


def clip(text: str, columns: int) -> str:
    """The text in so many columns at most, with a `~` where some of it is missing."""
    if width(text) <= columns:
        return text
    while width(text) > max(0, columns - 1):
        text = text[:-1]
    return f"{text}~"[:columns]


def styled(lines: Sequence[Line]) -> list[str]:
    """Lines as a terminal has them."""
    styles = PLAIN if os.environ.get("NO_COLOR") else STYLES
    return [click.style(text, **styles[style]) if styles[style] else text for style, text in lines]


class Screen:
    """`with Screen() as screen`. Ctrl-C is a KeyboardInterrupt meanwhile, SIGTERM a SystemExit: both give it back."""

    def __enter__(self) -> Screen:
        self.undo = contextlib.ExitStack()
        try:
            self.take()
        except BaseException:
            self.undo.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.undo.close()

    def take(self) -> None:
        """Everything, each with its way back."""
        self.woken, wake = os.pipe()
        for end in (self.woken, wake):
            os.set_blocking(end, False)
            self.undo.callback(os.close, end)
        self.undo.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(wake))
        for number, handler in ((signal.SIGWINCH, lambda number, frame: None), (signal.SIGTERM, terminate),
                                (signal.SIGINT, signal.default_int_handler)):
            self.undo.callback(signal.signal, number, signal.signal(number, handler))
        self.keys = sys.stdin.fileno() if sys.stdin.isatty() else None
        if self.keys is not None:
            before = termios.tcgetattr(self.keys)
            self.undo.callback(termios.tcsetattr, self.keys, termios.TCSADRAIN, before)
            tty.setcbreak(self.keys)
            mode = termios.tcgetattr(self.keys)
            mode[6][termios.VSUSP] = b"\0"      # who is stopped leaves the other screen behind
            termios.tcsetattr(self.keys, termios.TCSADRAIN, mode)
        self.undo.callback(write, THERE)
        write(HERE)

    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        columns, lines = os.get_terminal_size(sys.stdout.fileno())
        return (columns, lines) if columns and lines else USUAL

    def show(self, lines: Sequence[Line]) -> None:
        """These lines alone, as many as there is room for."""
        columns, room = self.size()
        shown = styled([(style, clip(text, columns)) for style, text in lines[:room]])
        write(TOP + f"{REST_OF_LINE}\n".join(shown) + REST_OF_LINE + REST)

    def wait(self, seconds: float) -> str:
        """A key; or RESIZED; or ENDED, when there is no terminal any more; empty: the time is over."""
        sources = [self.woken] if self.keys is None else [self.woken, self.keys]
        ready, _, _ = select.select(sources, [], [], max(0.0, seconds))
        if self.keys in ready:
            return os.read(self.keys, 1).decode(errors="replace") or ENDED
        if ready:
            os.read(self.woken, 64)
            return RESIZED
        return ""


def terminate(number: int, frame: FrameType | None) -> None:
    """SIGTERM's handler."""
    raise SystemExit(128 + number)


def write(text: str) -> None:
    """To standard output, at once; what its coding does not have is a `?`."""
    sys.stdout.buffer.write(text.encode(sys.stdout.encoding or "utf-8", "replace"))
    sys.stdout.buffer.flush()

