"""What the host is short of, looked at once a second and told to the workers in the shared memory: memory and disk.

Memory is that of our control group and those above it (cgroups(7), version 2) as far as they have limits, else the
machine's; what the kernel can take back at once, pages of files that nobody used lately, does not count. Where control
is away the workers forget it within seconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from edge._fast import Slab, monotonic
from edge.config.building.memory import groups
from edge.values.snapshot import Overload, Snapshot

LASTS = 3 * 10**9           # ns that one counts
MEMORY, STALLS, DISK = 1, 2, 3      # kinds, as edge._fast has them


def look(overload: Overload, places: Iterable[str], root: Path = Path("/")) -> tuple[int, int]:
    """The kind of what is over its threshold, and how far it is used in per cent; 0, 0: nothing is."""
    for kind, most, found in ((MEMORY, overload.memory, memory), (STALLS, overload.memory_stalls, stalls)):
        if most and (share := found(root)) > most:
            return kind, round(share * 100)
    if overload.disk and (share := max(map(disk, places), default=0.0)) > overload.disk:
        return DISK, round(share * 100)
    return 0, 0


def memory(root: Path) -> float:
    """The share of the limit that is in use, of the group that has least left."""
    found = list(limited(root))
    if found:
        return max(found)
    told = {name: int(value.split()[0]) for name, _, value in (
        line.partition(":") for line in text(root / "proc/meminfo").splitlines()) if value.split()}
    return 1 - told.get("MemAvailable", 1) / (told.get("MemTotal") or 1)


def limited(root: Path) -> Iterator[float]:
    """Of each group with a limit."""
    for group in groups(root):
        folder = root / "sys/fs/cgroup" / group
        limit, used = text(folder / "memory.max").strip(), text(folder / "memory.current").strip()
        if limit.isdecimal() and int(limit) and used.isdecimal():
            idle = next((line.split()[1] for line in text(folder / "memory.stat").splitlines()
                         if line.startswith("inactive_file ")), "0")
            yield max(0, int(used) - int(idle)) / int(limit)


def stalls(root: Path) -> float:
    """The share of the last ten seconds in which some work waited for memory, in our group or on the machine."""
    files = [root / "sys/fs/cgroup" / group / "memory.pressure" for group in groups(root)[:1]]
    for file in (*files, root / "proc/pressure/memory"):
        for line in text(file).splitlines():
            if line.startswith("some avg10="):
                return float(line.split()[1].removeprefix("avg10=")) / 100
    return 0.0


def disk(place: str) -> float:
    """The share of the file system that is in use for us."""
    try:
        found = os.statvfs(place)
    except OSError:
        return 0.0
    return 1 - found.f_bavail / found.f_blocks if found.f_blocks else 0.0


def text(file: Path) -> str:
    """Of a file of the kernel; empty where there is none."""
    try:
        return file.read_text()
    except OSError:
        return ""


def places(snapshot: Snapshot) -> list[str]:
    """The folders that the gateway writes into."""
    store, log = snapshot.store, snapshot.access_log
    files = [None if store is None else store.journals, None if log is None else log.path]
    return list(dict.fromkeys(str(Path(file).parent) for file in files if file and file != "-"))


def tell(slab: Slab, kind: int, share: int) -> None:
    """The workers know of it from their next tick on."""
    slab.strain_by(kind, share, monotonic() + LASTS)
