"""The memory of the response cache, which all processes have through the fork: its size is that of the start."""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
from pathlib import Path

from edge._fast import Cache
from edge.values.snapshot import Caching

FILE = "answers.edge"


def opened(wanted: Caching | None, workers: int, log: logging.Logger) -> Cache | OSError | None:
    """None: nobody wants it. An error, which the log has, too: it cannot be had, and the gateway serves without it.

    All of a file is taken from the disk before anybody writes there, so that a full disk is met here, and by nobody
    else. (It is not given to a second gateway: its writers would write over each other.)
    """
    if wanted is None:
        return None
    if wanted.folder is None:
        return Cache(mmap.mmap(-1, wanted.size), workers + 1)
    path = Path(wanted.folder, FILE)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_size != wanted.size:
                os.ftruncate(descriptor, 0)
            os.posix_fallocate(descriptor, 0, wanted.size)
            return Cache(mmap.mmap(descriptor, wanted.size), workers + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        log.error("there is no response cache", extra={"facts": {"file": str(path), "reason": str(error)}})
        return error
