"""A function in a process of its own: what it imports, and what it leaves in the heap, goes with it."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from typing import TypeVar, cast

from edge.process.descriptors import close_all_but
from edge.process.memfd import whole

Made = TypeVar("Made")


def apart(make: Callable[[], Made]) -> Made:
    """What it gives, or what it raises. RuntimeError: its process has ended without a word."""
    memory = os.memfd_create("edge-apart")
    pid = os.fork()
    if pid == 0:
        status = 1
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
        finally:
            os._exit(status)
    try:
        if os.waitpid(pid, 0)[1]:
            raise RuntimeError("the process that was to read what is needed has ended")
        good, value = pickle.loads(whole(memory))
    finally:
        os.close(memory)
    if not good:
        raise value
    return cast("Made", value)
