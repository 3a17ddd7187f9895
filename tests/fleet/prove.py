"""The proofs of what hosts share, at length: the limiter's model, the breakers', and that the scripts do what they do.

`python -m tests.fleet.prove` runs them all; `limiter`, `breakers` and `scripts` one of them. A run that fails names its
seed, and a smaller fleet that fails too is looked for. Exit code 1: a promise was broken.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing import Pool

from tests.faults.load import verdict
from tests.fleet import histories
from tests.fleet.breakers_world import BreakersWorld
from tests.fleet.limiter_world import LimiterWorld
from tests.fleet.server import Server

WORLDS = {"limiter": LimiterWorld, "breakers": BreakersWorld}
EVERY = 20.0                # seconds between two lines of progress
PART = 200                  # histories of one piece of work


@dataclass(frozen=True, slots=True)
class Run:
    """A world from a seed, or histories from that seed on."""

    name: str
    seed: int
    hosts: int
    steps: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """`broken` says what was not kept; `done` is how far it came."""

    run: Run
    done: int
    seconds: float
    broken: str
    happened: Counter[str]


def live(run: Run, *, quiet: bool = False) -> Outcome:
    """All steps of a world, or those until it breaks."""
    world, begun = WORLDS[run.name](run.seed, run.hosts), time.monotonic()
    told, step, broken = begun, 0, ""
    try:
        for step in range(run.steps):
            world.step()
            if not step % 1000 and not quiet and time.monotonic() > told + EVERY:
                told = time.monotonic()
                print(f"  {run.name}, seed {run.seed}: {step:,} steps, {step / (told - begun):,.0f} a second, "
                      f"{world.now / 1e6:,.0f} s of the world", file=sys.stderr, flush=True)
        world.end()
    except AssertionError as error:
        lines = "\n".join(f"    {each}"[:400] for each in list(world.last)[-12:])
        broken = f"step {step:,}: {error}\n{lines}"
    return Outcome(run, step + 1, time.monotonic() - begun, broken, world.happened)


def smaller(run: Run) -> Run | None:
    """The smallest fleet that breaks too, and soon."""
    for hosts in (1, 2, 3, 5, 8, 12):
        for seed in range(10):
            found = live(Run(run.name, seed, hosts, 20_000), quiet=True)
            if found.broken:
                return Run(run.name, seed, hosts, found.done)
    return None


def told(run: Run) -> Outcome:
    """Histories for both scripts; each piece of work has a server of its own."""
    begun, count, broken = time.monotonic(), 0, ""
    with Server() as server, server.client() as client:
        try:
            for name in histories.KINDS:
                count += histories.compare(client, name, range(run.seed, run.seed + PART), run.steps)
        except AssertionError as error:
            broken = str(error)
    return Outcome(run, count, time.monotonic() - begun, broken, Counter())


def work(run: Run) -> Outcome:
    """One piece of it."""
    return told(run) if run.name == "scripts" else live(run)


def report(outcomes: Iterable[Outcome]) -> list[tuple[str, bool]]:
    """As they come; and what they promise together."""
    steps, failed, happened, runs = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for outcome in outcomes:
        run = outcome.run
        runs[run.name] += 1
        steps[run.name] += outcome.done
        failed[run.name] += bool(outcome.broken)
        happened += outcome.happened
        if run.name != "scripts":
            print(f"| {run.name} | {run.seed} | {run.hosts or 'some'} | {outcome.done:,} | {outcome.seconds:,.0f} | "
                  f"{'broken' if outcome.broken else 'kept'} |", flush=True)
        elif not runs[run.name] % 50:
            print(f"  {runs[run.name] * PART:,} histories", file=sys.stderr, flush=True)
        if outcome.broken:
            print(f"\n{run.name}, seed {run.seed}, {outcome.broken}\nAgain: python -m tests.fleet.prove {run.name} "
                  f"--seeds {run.seed} --hosts {run.hosts} --steps {run.steps}")
            found = smaller(run) if run.name in WORLDS else None
            if found is not None:
                print(f"Smaller: --seeds {found.seed} --hosts {found.hosts} --steps {found.steps}")
    print("\nWhat happened meanwhile:", ", ".join(f"{count:,} {name}" for name, count in sorted(happened.items())))
    words = {"limiter": "no window saw more than the limit, and level and purses no more than a burst",
             "breakers": "one probe in the fleet, openings told within 500 ms, closed again in the end",
             "scripts": f"{runs['scripts'] * PART:,} histories of each, the same answers and the same state"}
    return [(f"{name}: {words[name]}: {steps[name]:,} steps", not failed[name]) for name in runs]


def numbers(text: str) -> range:
    """`7` or `0-9`."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="tests.fleet.prove", description=__doc__)
    parser.add_argument("what", nargs="*", help="limiter, breakers, scripts (all)")
    parser.add_argument("--seeds", type=numbers, default=range(4), help="as 0-3, each a world")
    parser.add_argument("--hosts", type=int, default=500, help="0: some (%(default)s)")
    parser.add_argument("--steps", type=int, default=2_500_000, help="of each world (%(default)s)")
    parser.add_argument("--histories", type=int, default=100_000, help="of each script (%(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="(%(default)s)")
    given = parser.parse_args()
    what = given.what or [*WORLDS, "scripts"]
    runs = [Run(name, seed, given.hosts, given.steps) for name in what if name in WORLDS for seed in given.seeds]
    if "scripts" in what:
        runs += [Run("scripts", seed, 0, 20) for seed in range(0, given.histories, PART)]
    print("| model | seed | hosts | steps | seconds | |\n|---|---|---|---|---|---|")
    with Pool(given.processes) as pool:
        return verdict(report(pool.imap_unordered(work, runs)))


if __name__ == "__main__":
    sys.exit(main())
