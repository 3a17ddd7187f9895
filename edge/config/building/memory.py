"""How much memory there is for us: the machine's, or what the control group leaves of it (cgroups(7), version 2)."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath


def share(workers: int, root: Path = Path("/")) -> int:
    """Bytes that one of the workers may hold for requests and answers: its part of half of what there is.

    The other half is for what is not counted: the programs, the kernel's socket buffers, what malloc keeps.
    """
    return available(root) // 2 // workers


def available(root: Path = Path("/")) -> int:
    """The smallest limit of our control group and those above it, and of the machine itself."""
    least = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for group in groups(root):
        try:
            limit = (root / "sys/fs/cgroup" / group / "memory.max").read_text().strip()
        except OSError:
            continue            # the root group has none, nor has a group that a container does not see
        if limit.isdecimal():
            least = min(least, int(limit))
    return least


def groups(root: Path) -> list[str]:
    """Our control group and those above it, as paths below the hierarchy's root; in a container it is that root."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return [""]
    own = next((line.removeprefix("0::").lstrip("/") for line in lines if line.startswith("0::")), "")
    return [str(path) for path in (PurePosixPath(own), *PurePosixPath(own).parents)]
