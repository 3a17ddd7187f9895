"""Storms: workers are killed, configurations reloaded, programs upgraded, all under load; and promises are counted.

    python -m tests.faults.storm kill --seconds 60
    python -m tests.faults.storm reload --times 20
    python -m tests.faults.storm upgrade --times 20

Each prints a table; the exit status is 1 where a promise is broken.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import click

from tests.faults.traffic import Traffic
from tests.support.gateway import Gateway, configuration
from tests.support.looks import at_rest, faults
from tests.support.simulator import Simulator

PERIOD = 2.0                # seconds between two kills
DRAIN = 20.0                # more than a stream takes


@dataclass
class Table:
    """Figures, and which of them break a promise."""

    rows: list[tuple[str, object, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def add(self, name: str, figure: object, promise: str = "", kept: bool = True) -> None:
        """One line."""
        self.rows.append((name, figure, promise))
        if not kept:
            self.broken.append(f"{name}: {figure} ({promise})")

    def show(self) -> None:
        """Prints it."""
        for name, figure, promise in self.rows:
            click.echo(f"  {name:<44} {figure!s:>8}  {promise}")
        for line in self.broken:
            click.echo(f"broken: {line}", err=True)


class Storm:
    """A gateway, its provider and traffic."""

    def __init__(self, edge: Gateway, base: dict[str, Any]) -> None:
        self.edge = edge
        self.base = base
        self.traffic = Traffic(edge.port)

    def progress(self, what: str) -> None:
        """What has been so far, on one line of the terminal."""
        figures = self.traffic.figures
        click.echo(f"\r{what}: {figures.requests} requests, {figures.streams} streams, {figures.failed} failed   ",
                   err=True, nl=False)

    async def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Waits while the traffic goes on."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"did not come to pass in {seconds} s\n{self.edge.log()[-5000:]}"
            await asyncio.sleep(0.02)

    async def kill(self, seconds: float) -> int:
        """Kills the worker that has lived longest, again and again. How many there were."""
        end, count = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            await asyncio.sleep(min(PERIOD, max(0.0, end - time.monotonic())))
            self.traffic.kill(self.edge.children()[1])
            count += 1
            self.progress(f"{count} killed")
        await self.until(lambda: len(self.edge.children()) == self.base["workers"] + 1)
        return count

    async def reload(self, times: int) -> int:
        """Changes limits and timeouts, again and again."""
        for number in range(times):
            await asyncio.sleep(0.1)
            rate = {"requests_per_second": 100000 + number, "burst_size": 100000 + number}
            self.edge.configure({**self.base, "rate_limit": rate, "timeout": 60 + number})
            self.edge.process.send_signal(signal.SIGHUP)
            await self.until(lambda said=f"configuration version {number + 2} in force": said in self.edge.log())
            self.progress(f"{number + 1} of {times} reloads")
        return times

    async def upgrade(self, times: int) -> int:
        """Puts another image in the supervisor's place, again and again."""
        for number in range(times):
            before = set(self.edge.children())
            self.edge.process.send_signal(signal.SIGUSR2)
            await self.until(lambda count=number + 1: self.edge.log().count("upgrade complete") == count)
            assert not before & set(self.edge.children()), "somebody has not gone"
            self.progress(f"{number + 1} of {times} upgrades")
        return times

    async def rage(self, what: str, amount: float) -> Table:
        """One kind of storm, from the first request to the last slot."""
        async with self.traffic:
            await self.until(lambda: self.traffic.figures.streams > 0)
            count = await getattr(self, what)(amount)
            served = self.traffic.figures.requests
            await self.until(lambda: self.traffic.figures.requests > served + 50)       # and life goes on
        click.echo(err=True)
        figures, table = self.traffic.figures, Table()
        table.add({"kill": "workers killed"}.get(what, f"{what}s"), count)
        table.add("requests", figures.requests)
        table.add("of them streams", figures.streams)
        lost, room = figures.lost_with_worker, self.traffic.in_killed
        table.add("in flight in killed workers", room)
        table.add("lost", lost, "no more than those in flight in killed workers", lost <= room)
        table.add("resets of queued and other connections", figures.resets, "0", figures.resets == 0)
        table.add("streams cut though their worker lived", figures.cut, "0", figures.cut == 0)
        refused = f"0 {figures.refused[:1] or ''}"
        table.add("refused", len(figures.refused), refused, not figures.refused)
        in_flight = at_rest(self.edge)["in_flight"]
        table.add("in-flight slots at the end", in_flight, "0", in_flight == 0)
        ours = len(faults(self.edge))
        table.add("faults in the log", ours, "0", ours == 0)
        return table


def storm(what: str, amount: float, workers: int) -> Table:
    """Everything that one needs, started and ended."""
    with Simulator() as simulator:
        base = configuration(simulator.url, workers=workers, drain_timeout=DRAIN)
        with Gateway(base) as edge:
            return asyncio.run(Storm(edge, base).rage(what, amount))


@click.command()
@click.argument("what", type=click.Choice(["kill", "reload", "upgrade"]))
@click.option("--seconds", default=60.0, show_default=True, help="How long workers are killed.")
@click.option("--times", default=20, show_default=True, help="How many reloads or upgrades.")
@click.option("--workers", default=4, show_default=True)
def main(what: str, seconds: float, times: int, workers: int) -> None:
    """Kill workers, reload or upgrade a gateway under load, and count what clients notice."""
    table = storm(what, seconds if what == "kill" else times, workers)
    table.show()
    sys.exit(bool(table.broken))


if __name__ == "__main__":
    main()
