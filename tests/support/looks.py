"""Looks at a running gateway from outside: its figures, its memory, its log."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import httpx2 as httpx

from tests.support.gateway import PLAIN, Gateway
from tests.support.talk import Talk


def resident(pid: int) -> int:
    """Bytes of memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def figures(edge: Gateway) -> dict[str, Any]:
    """The gateway's /stats, by control, so that asking is no request of the data port."""
    found: dict[str, Any] = httpx.get(f"{edge.admin}/stats", **PLAIN).raise_for_status().json()
    return found


def at_rest(edge: Gateway, others: int = 0) -> dict[str, Any]:
    """Waits until nobody but `others`, one connection each, is connected or served; the figures then."""
    def quiet() -> dict[str, Any] | None:
        now = figures(edge)
        connected = sum(worker["connections"] for worker in now["workers"])
        return now if now["in_flight"] <= others and connected <= others else None
    found: dict[str, Any] = edge.wait(quiet)
    return found


def faults(edge: Gateway) -> list[Any]:
    """What of the log tells of a fault of ours: tracebacks, and lines that are not the log's own JSON."""
    told = [line for line in edge.log_lines() if "traceback" in line or line["message"] == "internal error"]
    return told + [line for line in edge.log().splitlines() if line and not line.startswith(("{", "warning: "))]


def worker_of(edge: Gateway, talk: Talk) -> int:
    """The process that has accepted a connection, by its socket's inode (proc(5))."""
    local, remote = (f":{edge.port:04X}", f":{talk.socket.getsockname()[1]:04X}")
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inode = next(row[9] for row in lines if row[1].endswith(local) and row[2].endswith(remote))
    for pid in edge.children()[1:]:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            if str(link.readlink()) == f"socket:[{inode}]":
                return pid
    raise AssertionError("nobody has it")


def descriptors(edge: Gateway) -> int:
    """Open file descriptors of all its processes."""
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in (edge.process.pid, *edge.children()))


def processor_seconds(pid: int) -> float:
    """Time that a process has spent on a processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
