"""A function in a process of its own: what it imports, and what it leaves in the heap, goes with it."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable
from typing import NoReturn, TypeVar, cast

from edge.process.descriptors import close_all_but
from edge.process.memfd import whole

Made = TypeVar("Made")

UNTOLD = 255                # exit status: why it failed is not known; else its errno


class Ended(Exception):
    """The process has ended without a word, as somebody or something wanted it to."""


def apart(make: Callable[[], Made]) -> Made:
    """What it gives, or what it raises. OSError: there is no process, or no room for what it gives. Ended."""
    memory = os.memfd_create("edge-apart")
    try:
        pid = os.fork()
        if pid == 0:
            _make(make, memory)
        status = os.waitpid(pid, 0)[1]
        if os.WIFSIGNALED(status):
            raise Ended(f"the process that was to read it was ended by signal {os.WTERMSIG(status)}"
                        f"{' (too little memory?)' if os.WTERMSIG(status) == signal.SIGKILL else ''}")
        if (code := os.WEXITSTATUS(status)) == UNTOLD:
            raise Ended("the process that was to read it has ended by itself")
        if code:
            raise OSError(code, os.strerror(code))
        good, value = pickle.loads(whole(memory))
    finally:
        os.close(memory)
    if not good:
        raise value
    return cast("Made", value)


def _make(make: Callable[[], object], memory: int) -> NoReturn:
    """The process's life."""
    status = UNTOLD
    try:
        close_all_but({0, 1, 2, memory})
        told: tuple[bool, object]
        try:
            told = True, make()
        except Exception as error:
            told = False, error
        with os.fdopen(os.dup(memory), "wb") as stream:
            pickle.dump(told, stream, pickle.HIGHEST_PROTOCOL)
        status = 0
    except OSError as error:
        status = error.errno or UNTOLD
    finally:
        os._exit(status)
