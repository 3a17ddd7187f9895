"""Hours in small: mixed traffic with every fault in it, and whether anything of the gateway grows.

`python -m tests.faults.soak --minutes 30` looks at all its processes once a second. Behind the first third, in which
pools and memos fill, a line is laid through each figure (least squares); its slope is printed per hour. Exit code 1:
something grew over the time, or was not given back, or the gateway met a fault of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx2 as httpx
import uvloop

from tests.faults.load import many_files, progress, table, verdict
from tests.faults.mixture import Mixture
from tests.support.gateway import Gateway, configuration
from tests.support.looks import at_rest, faults, resident
from tests.support.simulator import Simulator

INTERVAL = 1.0
MIB = 1 << 20
# What a figure may seem to grow by over the whole time without having grown: noise, and a page here and there.
ROOM = {"memory": MIB, "descriptors": 4.0, "connections": 4.0, "in flight": 4.0}
UNITS = {"memory": (MIB, "MiB")}


@dataclass(frozen=True, slots=True)
class Figure:
    """What is looked at: of which process, or of the gateway, and what."""

    of: str
    what: str


@dataclass(frozen=True, slots=True)
class Trend:
    """A line through samples: the value in the middle, and the slope per hour."""

    middle: float
    slope: float
    hours: float

    @property
    def growth(self) -> float:
        """Over the time that it was looked at."""
        return self.slope * self.hours


def trend(times: Sequence[float], values: Sequence[float]) -> Trend:
    """Least squares; `times` in seconds."""
    line = statistics.linear_regression(times, values)
    return Trend(statistics.median(values), line.slope * 3600, (times[-1] - times[0]) / 3600)


class Watch:
    """Samples of all figures, one each interval."""

    def __init__(self, gateway: Gateway, control: httpx.AsyncClient) -> None:
        control_pid, *workers = gateway.children()
        self.processes = {"supervisor": gateway.process.pid, "control": control_pid,
                          **{f"worker {number}": pid for number, pid in enumerate(workers)}}
        self.times: list[float] = []
        self.samples: dict[Figure, list[float]] = {}
        self._control = control

    async def run(self) -> None:
        """Until it is cancelled."""
        begun = time.monotonic()
        while True:
            await self._sample(time.monotonic() - begun)
            await asyncio.sleep(INTERVAL)

    async def _sample(self, at: float) -> None:
        stats = (await self._control.get("/stats")).json()
        seen = {Figure("gateway", "in flight"): stats["in_flight"],
                Figure("gateway", "connections"): sum(
                    worker["connections"] + worker["upstream_connections"] for worker in stats["workers"])}
        for name, pid in self.processes.items():
            seen[Figure(name, "memory")] = resident(pid)
            seen[Figure(name, "descriptors")] = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        self.times.append(at)
        for figure, value in seen.items():
            self.samples.setdefault(figure, []).append(value)

    def trends(self) -> dict[Figure, Trend]:
        """Of what came behind the first third."""
        first = len(self.times) // 3
        return {figure: trend(self.times[first:], values[first:]) for figure, values in self.samples.items()}


async def soak(gateway: Gateway, clients: int, seconds: float, seed: int) -> tuple[Watch, Mixture]:
    """The mixture for so long, watched."""
    async with httpx.AsyncClient(base_url=gateway.admin, timeout=20) as control:
        watch, traffic = Watch(gateway, control), Mixture(gateway.port, seed)
        watching = asyncio.create_task(watch.run())
        telling = asyncio.create_task(_tell(traffic, seconds))
        await traffic.run(clients, seconds)
        for task in (watching, telling):
            if task.done():
                task.result()           # it ends by itself only with an exception
            task.cancel()
    return watch, traffic


async def _tell(traffic: Mixture, seconds: float) -> None:
    begun = time.monotonic()
    while True:
        await asyncio.sleep(min(60, seconds / 4))
        progress(f"{time.monotonic() - begun:.0f} s of {seconds:.0f}: {dict(sorted(traffic.ended.items()))}, "
                 f"{traffic.left} left early")


def start(stack: ExitStack, workers: int) -> Gateway:
    """A gateway that waits briefly for a provider that fails in every way."""
    many_files()
    simulator = stack.enter_context(Simulator())
    config = configuration(simulator.url, workers=workers, limits={"head_timeout": 2, "body_timeout": 2})
    for provider in config["providers"].values():
        provider["timeouts"] = {"connect": 1, "first_byte": 1, "idle": 1, "total": 5}
    return stack.enter_context(Gateway(config))


def judge(trends: dict[Figure, Trend], gateway: Gateway) -> int:
    """Prints the table and what was promised; the gateway must be at rest by itself, as no client is there any more."""
    rows = []
    for figure, line in trends.items():
        size, unit = UNITS.get(figure.what, (1, ""))
        rows.append([figure.of, f"{figure.what} {unit}".strip(), f"{line.middle / size:.1f}",
                     f"{line.slope / size:+.2f}", f"{line.growth / size:+.2f}"])
    table(["of", "figure", "median", "slope per hour", "growth"], rows)
    grown = [f"{figure.what} of {figure.of}" for figure, line in trends.items() if line.growth > ROOM[figure.what]]
    own = faults(gateway)
    for told in own[:10]:
        print(told)
    try:
        at_rest(gateway)
        rests = True
    except AssertionError:
        rests = False
    return verdict([(f"nothing grows{': ' if grown else ''}{', '.join(grown)}", not grown),
                    ("requests in flight and connections come to nothing when the clients are gone", rests),
                    ("the gateway met no fault of its own", not own)])


def main() -> int:
    """The soak in full."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with ExitStack() as stack:
        gateway = start(stack, given.workers)
        watch, traffic = uvloop.run(soak(gateway, given.clients, given.minutes * 60, given.seed))
        statuses = ", ".join(f"{count} x {status or 'none'}" for status, count in sorted(traffic.ended.items()))
        print(f"answers: {statuses}; {traffic.left} clients left early\n")
        return judge(watch.trends(), gateway)


if __name__ == "__main__":
    sys.exit(main())
