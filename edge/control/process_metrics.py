"""What `/metrics` says of the gateway's processes, from /proc: the usual `process_` families, a series for each.

Of two generations of a worker, during an upgrade, it is the younger one. What another user's process keeps to itself is
left out.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import Metric

from edge.control.status import workers

_USER, _SYSTEM, _START, _PAGES = 14 - 3, 15 - 3, 22 - 3, 24 - 3     # fields of /proc/PID/stat behind the name (proc(5))
_TICKS, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


def of_processes(supervisor: int) -> Iterator[Metric]:
    """Of the supervisor, control (this process) and the workers. Without the supervisor nobody knows the others."""
    families: tuple[Counter | Gauge, ...] = (
        Counter("process_cpu_seconds", "Processor time, of user and system together.", labels=["process"]),
        Gauge("process_resident_memory_bytes", "Memory that is in use, shared pages included.", labels=["process"]),
        Gauge("process_start_time_seconds", "Unix time when the process began.", labels=["process"]),
        Gauge("process_open_fds", "Descriptors that are open.", labels=["process"]),
        Gauge("process_max_fds", "Descriptors that may be open.", labels=["process"]))
    pids = {"control": os.getpid()}
    if os.getppid() == supervisor:
        pids = {"supervisor": supervisor, **pids, **{f"worker {worker}": pid
                                                     for worker, pid in sorted(workers(supervisor).items())}}
    for name, pid in pids.items():
        for family, found in zip(families, figures(pid), strict=False):
            family.add_metric([name], found)
    yield from families


def figures(pid: int) -> Iterator[float]:
    """In the order of the families, as far as they can be had: the process may end meanwhile."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        yield (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS
        yield int(fields[_PAGES]) * _PAGE
        yield round(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + int(fields[_START]) / _TICKS, 2)
        folder = Path(f"/proc/{pid}/fd")
        yield folder.stat().st_size or sum(1 for _ in folder.iterdir())     # Linux 6.2 tells it without a list
        yield resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
    except OSError:
        return
