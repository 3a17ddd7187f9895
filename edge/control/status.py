"""What runs, for an operator: `edge status`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from edge import __version__
from edge.control.state import State
from edge.process import pidfile
from edge.process.titles import titled
from edge.values import figures
from edge.values.switches import maintenance

_WORKER = "edge: worker "


def status(state: State, supervisor: int, *, draining: bool) -> dict[str, Any]:
    """Program, configuration, processes, load and what is out. Times in seconds."""
    snapshot, pids = state.snapshot, workers(supervisor)
    found = figures.workers(state.slab)
    targets = figures.targets(state.slab, state.registry, snapshot)
    work = maintenance(state.slab)
    return {
        "version": __version__, "pid": supervisor, "uptime": uptime(supervisor), "draining": draining,
        "config": {"source": snapshot.source, "version": snapshot.version, "warnings": list(snapshot.warnings)},
        "maintenance": None if work is None else work.shown(),
        "connections": sum(each["connections"] for each in found),
        "in_flight": sum(each["in_flight"] for each in found),
        "drain_timeout": snapshot.drain_timeout,
        "workers": [{"worker": each["worker"], "pid": pids.get(each["worker"]), "connections": each["connections"],
                     "in_flight": each["in_flight"], "restarts": each["restarts"],
                     "heartbeat_age": each["heartbeat_age"]} for each in found],
        "targets_out": [{"target": each["target"], "state": each["state"],
                         "by": "operator" if each["forced"] != "auto" else
                         "health checks" if each["ailing"] else "circuit breaker"}
                        for each in targets if each["state"] != "closed"]}


def workers(supervisor: int) -> dict[int, int]:
    """The process of each worker, by their titles; of two generations the younger one's."""
    try:
        children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    except OSError:
        return {}
    named = [(titled(int(child)), int(child)) for child in children]
    return {int(title.removeprefix(_WORKER)): pid for title, pid in sorted(named, key=lambda each: age(each[1]))
            if title.removeprefix(_WORKER).isdecimal()}


def age(pid: int) -> int:
    """When a process began; 0 where it is gone."""
    try:
        return pidfile.began_at(pid)
    except OSError:
        return 0


def uptime(pid: int) -> float:
    """Seconds since a process began."""
    return round(time.clock_gettime(time.CLOCK_BOOTTIME) - age(pid) / os.sysconf("SC_CLK_TCK"), 1)
