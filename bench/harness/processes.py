"""Processes of a measurement: each on its core, weighed from /proc, ended by pid with all that it started."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = resource.getpagesize()
PAGE_KB = PAGE / 1024
LOAD_CORE, TARGET_CORE = 0, 1
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
Page = tuple[str, str, int]         # device and inode of a file, and the number of a page in it


class Trouble(Exception):
    """A measurement that cannot be made, or whose answers were wrong; its text is for the reader."""


def tree(pid: int) -> list[int]:
    """`pid` and all its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = (entry / "stat").read_text().rpartition(") ")[2].split()[1]
                children.setdefault(int(parent), []).append(int(entry.name))
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process tree so far (fields 14 and 15 of /proc/PID/stat; see proc(5))."""
    total = 0
    for member in tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(") ")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


def resident_bytes(pid: int) -> int:
    """Resident memory of a process tree. From smaps_rollup: the figure in stat may lag by 64 pages a core."""
    total = 0
    for member in tree(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
                if line.startswith("Rss:"):
                    total += int(line.split()[1]) * 1024
    return total


def own_kilobytes(pid: int) -> dict[str, int]:
    """What each process of a tree takes, by its title; what several of them share counts in parts, as in Pss.

    Pss (proc(5)) counts a file's page the less, the more strangers have mapped it: here it counts as if the tree were
    alone, and no other interpreter ran on the machine.
    """
    mapped: dict[int, set[Page]] = {}
    private: dict[int, int] = {}
    titles: dict[int, str] = {}
    for member in tree(pid):
        with contextlib.suppress(OSError):
            mapped[member] = file_pages(member)
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
            private[member] = next(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:"))
            titles[member] = Path(f"/proc/{member}/cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
    sharers = Counter(page for pages in mapped.values() for page in pages)
    return {f"{title} ({member})": private[member] + round(sum(PAGE_KB / sharers[page] for page in mapped[member]))
            for member, title in titles.items()}


def file_pages(pid: int) -> set[Page]:
    """The pages of files and of shared memory that a process has mapped, and not copied (pagemap, proc(5))."""
    found = set()
    with Path(f"/proc/{pid}/pagemap").open("rb") as pagemap:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            addresses, _, offset, device, inode = line.split()[:5]
            if inode == "0":
                continue
            first, end = (int(address, 16) // PAGE for address in addresses.split("-"))
            pagemap.seek(first * 8)
            entries = struct.unpack(f"{end - first}Q", pagemap.read((end - first) * 8))
            found |= {(device, inode, int(offset, 16) // PAGE + place) for place, entry in enumerate(entries)
                      if entry >> 63 and entry >> 61 & 1}       # present, and of a file or shared
    return found


def machine_busy() -> float:
    """Seconds that the machine's cores have worked since boot (user, nice, system, irq, softirq)."""
    with Path("/proc/stat").open() as stat:
        values = [int(value) / TICKS for value in stat.readline().split()[1:]]
    return values[0] + values[1] + values[2] + values[5] + values[6]


def own_seconds() -> float:
    """User and system time of this process and of its children that have ended."""
    own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def on_core(*cores: int) -> None:
    """Binds the calling process to a core, and its life to that of its parent (for use as preexec_fn)."""
    os.sched_setaffinity(0, cores)
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Stage:
    """A folder for configurations and logs, and the processes of one measurement; leaving it ends them."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="edge-bench-")
        self.folder = Path(self._folder.name)
        self._cores = os.sched_getaffinity(0)
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.folder.chmod(0o755)
        if not {LOAD_CORE, TARGET_CORE} <= self._cores:
            raise Trouble("two cores are needed: one for the target, one for the load and the upstream")
        os.sched_setaffinity(0, {LOAD_CORE})
        return self

    def __exit__(self, *exc: object) -> None:
        while self._started:
            self.stop(self._started[-1])
        os.sched_setaffinity(0, self._cores)
        self._folder.cleanup()

    @property
    def load_cores(self) -> tuple[int, ...]:
        """All but the target's, for a load of many processes."""
        return tuple(self._cores - {TARGET_CORE})

    def start(self, name: str, argv: Sequence[str], core: int | tuple[int, ...],
              port: int | None) -> subprocess.Popen[bytes]:
        """Starts a process. If it is going to listen on `port`, waits until it does."""
        log, cores = self.folder / f"{name}.log", core if isinstance(core, tuple) else (core,)
        clean = {key: value for key, value in os.environ.items()
                 if not key.startswith(("EDGE_", "OPENAI_", "PYTHONDONTWRITEBYTECODE"))}
        with log.open("wb") as out:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder, env=clean,
                start_new_session=True, preexec_fn=lambda: on_core(*cores))
        self._started.append(process)
        if port is None:
            return process
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return process
            time.sleep(0.05)
        raise Trouble(f"{name} does not listen on {port}:\n{self.log(name)}")

    def log(self, name: str) -> str:
        """The end of what a process has said."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """SIGTERM to the process, 10 s later SIGKILL to it and to all that it has started and left behind."""
        self._started.remove(process)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        for member in session(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        process.wait()


def session(leader: int) -> Iterator[int]:
    """The processes of the session that one has begun. While there are any, nobody else can have its number."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if os.getsid(int(entry.name)) == leader:
                    yield int(entry.name)
