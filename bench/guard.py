"""Fails when the gateway adds more latency than it may.

locust sends the same mixed traffic (locustfile.py) straight to the simulator and through the gateway, in
turns of one run. What the gateway adds is the difference within a turn; the median over the turns is held
against the limits. Exit status: 0 within the limits, 1 beyond them or when any request failed.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from harness.load import KEY
from harness.processes import LOAD_CORE, Stage, Trouble, free_port, on_core
from harness.report import table
from harness.targets import DIRECT, Upstream, certificates, launch

FILE = Path(__file__).with_name("locustfile.py")
USERS = 20
WARM_UP = 2                 # seconds, not counted
KINDS = {"answers": ("chat", "messages"),
         "first events": ("chat stream, first event", "messages stream, first event")}


@dataclass(frozen=True, slots=True)
class Latency:
    """Median and 99th percentile in milliseconds."""

    p50: float
    p99: float


def latency(samples: Iterable[float]) -> Latency:
    """Of a list of times."""
    ordered = sorted(samples)
    return Latency(statistics.median(ordered), ordered[len(ordered) * 99 // 100])


def added(direct: Sequence[Latency], through: Sequence[Latency]) -> Latency:
    """What came on top: the median of the differences within each turn."""
    pairs = list(zip(direct, through, strict=True))
    return Latency(statistics.median(after.p50 - before.p50 for before, after in pairs),
                   statistics.median(after.p99 - before.p99 for before, after in pairs))


def beyond(found: Mapping[str, Latency], limit: Latency) -> list[str]:
    """What is over a limit, in words."""
    return [f"{kind}: {name} adds {value:.2f} ms, allowed are {allowed:g} ms"
            for kind, each in found.items()
            for name, value, allowed in (("p50", each.p50, limit.p50), ("p99", each.p99, limit.p99))
            if value > allowed]


def traffic(stage: Stage, port: int, seconds: float) -> dict[str, Latency]:
    """One turn of locust against a port; a failed request is trouble."""
    out = stage.folder / "samples.json"
    out.unlink(missing_ok=True)
    command = [sys.executable, "-m", "locust", "-f", str(FILE), "--headless", "--only-summary",
               "-u", str(USERS), "-r", str(USERS), "-t", f"{max(1, round(seconds))}s",
               "--host", f"http://127.0.0.1:{port}", "--key", KEY, "--samples", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False,
                          preexec_fn=lambda: on_core(LOAD_CORE))
    noted = json.loads(out.read_text()) if out.exists() else {}
    if not all(name in noted.get("samples", {}) for names in KINDS.values() for name in names):
        raise Trouble(f"locust failed: {done.stderr[-2000:]}")
    if noted["failures"]:
        raise Trouble(f"{len(noted['failures'])} requests failed, the first: {noted['failures'][0]}")
    return {kind: latency(time for name in names for time in noted["samples"][name])
            for kind, names in KINDS.items()}


@click.command(help=__doc__, context_settings={"show_default": True})
@click.option("--turns", default=3, help="turns of both paths")
@click.option("--seconds", default=8.0, help="length of one path's turn")
@click.option("--p50", default=2.0, help="milliseconds that the median may grow by")
@click.option("--p99", default=10.0, help="milliseconds that the 99th percentile may grow by")
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
    for kind in KINDS:
        direct, through = ([each[kind] for each in turns_] for turns_ in paths.values())
        found[kind] = added(direct, through)
        rows += [[kind, quantile, *(f"{statistics.median(getattr(each, quantile) for each in path):.2f}"
                                    for path in (direct, through)), f"{getattr(found[kind], quantile):.2f}"]
                 for quantile in ("p50", "p99")]
    table(["of", "quantile", "direct ms", "through edge ms", "added ms"], rows)
    over = beyond(found, Latency(p50, p99))
    if over:
        raise Trouble("; ".join(over))


def simulator(stage: Stage) -> Upstream:
    """`edge simulate`, beside locust on the load's core."""
    certificates(stage)
    port = free_port()
    command = [str(Path(sys.executable).with_name("edge")), "simulate", "--port", str(port)]
    return Upstream(stage.start("simulator", command, LOAD_CORE, port), port, 0, lambda: 0)


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        sys.exit(f"guard: {trouble}")
