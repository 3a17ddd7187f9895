"""Fails when the gateway adds more latency than it may.

Locust sends the same chat mix (scenarios/chat.py) straight to the simulator and through the gateway, in turns of
one run. How many times the direct path's latency the gateway's is, within a turn, is held against the limits at
its median over the turns: a busy machine slows both. Exit status: 0 within the limits, 1 beyond them or when any
request failed.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from harness.processes import LOAD_CORE, Stage, Trouble, on_core
from harness.records import read
from harness.report import table
from harness.targets import DIRECT, launch, simulator

FILE = Path(__file__).with_name("locustfile.py")
WARM_UP = 1                 # seconds, not counted
ANSWERS, FIRSTS = "answers", "first events"


@dataclass(frozen=True, slots=True)
class Latency:
    """Median and 99th percentile in milliseconds."""

    p50: float
    p99: float


def latency(samples: Iterable[float]) -> Latency:
    """Of a list of times."""
    ordered = sorted(samples)
    return Latency(statistics.median(ordered), ordered[len(ordered) * 99 // 100])


def times(direct: Sequence[Latency], through: Sequence[Latency]) -> Latency:
    """How many times the direct path's latency: the median of the ratios within each turn."""
    pairs = list(zip(direct, through, strict=True))
    return Latency(statistics.median(after.p50 / before.p50 for before, after in pairs),
                   statistics.median(after.p99 / before.p99 for before, after in pairs))


def beyond(found: Mapping[str, Latency], limit: Latency) -> list[str]:
    """What is over a limit, in words."""
    return [f"{kind}: {name} is {value:.2f} × the direct path's, allowed are {allowed:g} ×"
            for kind, each in found.items()
            for name, value, allowed in (("p50", each.p50, limit.p50), ("p99", each.p99, limit.p99))
            if value > allowed]


def traffic(stage: Stage, port: int, seconds: float) -> dict[str, Latency]:
    """One turn of Locust against a port; a failed request is trouble."""
    with tempfile.TemporaryDirectory(dir=stage.folder) as folder:
        command = [sys.executable, "-m", "locust", "-f", str(FILE), "--headless", "--only-summary",
                   "--exit-code-on-error", "0", "--scenario", "chat", "--seconds", str(seconds),
                   "--host", f"http://127.0.0.1:{port}", "--records", folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False,
                              preexec_fn=lambda: on_core(LOAD_CORE))
        if done.returncode:
            raise Trouble(f"Locust failed: {done.stderr[-2000:]}")
        requests = read(Path(folder)).requests
    failed = [request for request in requests if request.condition != "ok"]
    if failed:
        raise Trouble(f"{len(failed)} requests failed, the first: {failed[0]}")
    answers = [request.seconds * 1000 for request in requests if not request.stream]
    firsts = [request.first * 1000 for request in requests if request.first is not None]
    if not answers or not firsts:
        raise Trouble(f"a turn of {seconds:g} s is too short for requests of each kind; --seconds makes it longer")
    return {ANSWERS: latency(answers), FIRSTS: latency(firsts)}


@click.command(help=__doc__, context_settings={"show_default": True})
@click.option("--turns", default=3, help="turns of both paths")
@click.option("--seconds", default=8.0, help="length of one path's turn")
@click.option("--p50", default=3.0, help="times the direct path's median that the gateway's may be")
@click.option("--p99", default=5.0, help="the same of the 99th percentile")
def main(turns: int, seconds: float, p50: float, p99: float) -> None:
    """Measures, prints a table, judges."""
    paths: dict[str, list[dict[str, Latency]]] = {DIRECT: [], "edge": []}
    with Stage() as stage:
        live = launch(stage, list(paths), simulator(stage))
        for target in live:
            traffic(stage, target.port, WARM_UP)
        for turn in range(turns):
            print(f"turn {turn + 1} of {turns}", file=sys.stderr, flush=True)
            for target in live:
                paths[target.name].append(traffic(stage, target.port, seconds))
    found = {}
    rows = []
    for kind in (ANSWERS, FIRSTS):
        direct, through = ([each[kind] for each in turns_] for turns_ in paths.values())
        found[kind] = times(direct, through)
        rows += [[kind, quantile, *(f"{statistics.median(getattr(each, quantile) for each in path):.2f}"
                                    for path in (direct, through)), f"{getattr(found[kind], quantile):.2f}"]
                 for quantile in ("p50", "p99")]
    table(["of", "quantile", "direct ms", "through edge ms", "×, paired"], rows)
    over = beyond(found, Latency(p50, p99))
    if over:
        raise Trouble("; ".join(over))


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        sys.exit(f"guard: {trouble}")
