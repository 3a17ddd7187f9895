"""Looks at a running gateway from outside: its figures, its memory, its log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2 as httpx

from tests.support.gateway import Gateway


def resident(pid: int) -> int:
    """Bytes of memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def figures(edge: Gateway) -> dict[str, Any]:
    """The gateway's /stats, by control, so that asking is no request of the data port."""
    found: dict[str, Any] = httpx.get(f"{edge.admin}/stats", timeout=10).raise_for_status().json()
    return found


def at_rest(edge: Gateway) -> dict[str, Any]:
    """Waits until no request is in flight and no client connected; the figures then."""
    def quiet() -> dict[str, Any] | None:
        now = figures(edge)
        busy = now["in_flight"] or any(worker["connections"] for worker in now["workers"])
        return None if busy else now
    found: dict[str, Any] = edge.wait(quiet)
    return found


def faults(edge: Gateway) -> list[dict[str, Any]]:
    """Lines of the log that tell of a fault of ours."""
    return [line for line in edge.log_lines() if "traceback" in line or line["message"] == "internal error"]
