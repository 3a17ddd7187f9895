"""How many descriptors a process may have, and which of them a child keeps."""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path


def allow(wanted: int) -> int | None:
    """Raises the limit of open descriptors as far as this user may. The limit, where it is less than wanted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError):       # the kernel's own limit, fs.nr_open, has come below it
            pass
    return soft if 0 <= soft < wanted else None


def close_all_but(kept: set[int]) -> None:
    """A child has no business with others' channels, and a socket that it held would outlive its owner."""
    for descriptor in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if descriptor not in kept:
            with contextlib.suppress(OSError):
                os.close(descriptor)
