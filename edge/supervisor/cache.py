"""The memory of the response cache, which all processes have through the fork: its size is that of the start."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import mmap
import os
import stat
from pathlib import Path

from edge._fast import Cache
from edge.values.snapshot import Caching

FILE = "answers.edge"
NONE = -1                   # no descriptor


def opened(wanted: Caching | None, workers: int, log: logging.Logger, handed: int = NONE) -> tuple[
        Cache | OSError | None, int]:
    """The cache, and the descriptor of its file, which the next image gets as `handed`; NONE: it is in no file.

    None: nobody wants it. An error, which the log has, too: it cannot be had, and the gateway serves without it.
    """
    if wanted is None or wanted.folder is None:
        close(handed)
        return None if wanted is None else Cache(mmap.mmap(-1, wanted.size), workers + 1), NONE
    try:
        return on_disk(Path(wanted.folder, FILE), handed, wanted.size, workers + 1)
    except OSError as error:
        log.error("there is no response cache", extra={"facts": {"reason": str(error)}})
        return error, NONE


def on_disk(path: Path, handed: int, size: int, areas: int) -> tuple[Cache, int]:
    """In the file that is there, which a second gateway does not get: it would write over our answers. Nor would the
    next image of the program, but by descriptor: workers of the one before hold the lock with their memory.

    A file of another size or form stays as it is, since they may use it yet, and another takes its place.
    """
    descriptor = ours(path, handed)
    found = mapped(path, descriptor, size, areas)
    if found is None:
        path.unlink()
        close(descriptor)
        descriptor = owned(path, os.O_EXCL)
        found = mapped(path, descriptor, size, areas)
        assert found is not None
    return found, descriptor


def ours(path: Path, handed: int) -> int:
    """The descriptor of the file, which is ours already, or is so now."""
    if handed != NONE:
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handed), path.lstat()):
                return handed
    close(handed)
    return owned(path)


def close(descriptor: int) -> None:
    """If there is one."""
    if descriptor != NONE:
        os.close(descriptor)


def mapped(path: Path, descriptor: int, size: int, areas: int) -> Cache | None:
    """None: it has another size or form. All of it is taken from the disk before anybody writes there, so that a full
    disk is met here, and by nobody else."""
    there = os.fstat(descriptor).st_size
    if there not in (0, size):
        return None
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError:
        if there == 0:
            path.unlink()               # what it has got of the disk is for others
        os.close(descriptor)
        raise
    try:
        return Cache(mmap.mmap(descriptor, size), areas)
    except ValueError:
        return None


def owned(path: Path, how: int = 0) -> int:
    """Opens it. OSError: it is not for us alone."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | how, 0o600)
    try:
        own(path, descriptor)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def own(path: Path, descriptor: int) -> None:
    """OSError: the file is not for us alone."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no file: take it away", str(path))
    if found.st_uid != os.geteuid():
        raise OSError(errno.EPERM, f"it is the file of user {found.st_uid}, who could read it: take it away", str(path))
    os.fchmod(descriptor, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OSError(errno.EAGAIN, "another gateway has it: give each its own cache_dir", str(path)) from None
