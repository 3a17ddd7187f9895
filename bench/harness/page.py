"""The report of a scenario's run: one HTML file that needs nothing beside it."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeVar

from .records import Pulse, Records, Request
from .svg import COLOURS, GOOD, Axis, Series, chart
from .watch import Sample, Second, seconds

Timed = TypeVar("Timed", Request, Pulse, Second)
BINS = 120                              # at most: a bin is a second, or as long as it takes
STYLE = """
:root{color-scheme:light dark;--ink:#1d2329;--dim:#5c6670;--rule:#d9dee3;--ground:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ec;--dim:#9aa4ae;--rule:#343b42;--ground:#15191d}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground)}
body{max-width:940px;margin:2em auto;padding:0 1em}
h1{font-size:1.5em}h2{font-size:1.05em;margin:1.8em 0 .2em}p.dim,small{color:var(--dim)}
svg{width:100%;height:auto;display:block}svg text{font-size:11px;fill:var(--dim)}svg .said{fill:var(--ink)}
.grid{stroke:var(--rule)}.mark{stroke:var(--ink);stroke-dasharray:3 3}
.told{fill:transparent}.shade{fill:var(--dim);opacity:.2}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}
.legend{margin:.2em 0;font-size:13px}.legend span{margin-right:1.2em;white-space:nowrap}
.legend i{display:inline-block;width:10px;height:10px;margin-right:5px;border-radius:2px}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}
td,th{padding:3px 10px;border-bottom:1px solid var(--rule);text-align:right}
td:first-child,th:first-child{text-align:left}
"""
PARTS = (("p50", 50, COLOURS[0]), ("p95", 95, COLOURS[1]), ("p99", 99, COLOURS[2]))


@dataclass(frozen=True, slots=True)
class Run:
    """What a report is made of."""

    name: str
    about: str
    conditions: str                     # under which it was taken: date, machine, command
    seconds: float
    records: Records
    samples: list[Sample]


def percentile(values: Iterable[float], part: int) -> float | None:
    """That of a hundred, by nearest rank; None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * part / 100) - 1)] if ordered else None


class Bins:
    """A run's records by when they were made."""

    def __init__(self, run: Run) -> None:
        begun = run.records.begun
        width = max(1, math.ceil(run.seconds / BINS))
        marks = [(mark.at - begun, mark.text) for mark in run.records.marks]
        self._begun, self._width = begun, width
        self._count = max(1, math.ceil(run.seconds / width))
        self.pulses = self.of(run.records.pulses)
        self.shaded = [n for n, pulses in enumerate(self.pulses) if any(pulse.saturated for pulse in pulses)]
        self.axis = Axis(run.seconds, width, marks, self.shaded)
        self.requests = self.of(run.records.requests)
        self.gateway: list[list[Second]] = self.of(seconds(run.samples))

    def of(self, records: Iterable[Timed]) -> list[list[Timed]]:
        """The records of each bin; what ended after the run's end belongs to the last one."""
        found: list[list[Timed]] = [[] for _ in range(self._count)]
        for record in records:
            place = int((record.at - self._begun) / self._width)
            if place >= 0:
                found[min(place, self._count - 1)].append(record)
        return found

    def by_condition(self) -> dict[str, list[float | None]]:
        """Requests a second of each condition, ok first, then the most frequent."""
        counts = [Counter(request.condition for request in requests) for requests in self.requests]
        total = sum(counts, Counter[str]())
        names = sorted(total, key=lambda name: (name != "ok", -total[name]))
        return {name: [count[name] / self._width for count in counts] for name in names}

    def times(self, chosen: Callable[[Request], float | None]) -> list[Series]:
        """Percentiles in milliseconds of what is chosen of each request."""
        kept = [[value * 1000 for request in requests if (value := chosen(request)) is not None]
                for requests in self.requests]
        return [Series(name, [percentile(values, part) for values in kept], colour) for name, part, colour in PARTS]

    def processes(self, chosen: Callable[[Second], Mapping[str, float]], factor: float) -> list[Series]:
        """The mean of a figure of each of the gateway's processes."""
        told = [[chosen(second) for second in each] for each in self.gateway]
        names = sorted({name for each in told for figures in each for name in figures}, reverse=True)
        return [Series(name, [mean(figures[name] * factor for figures in each if name in figures) for each in told],
                       COLOURS[n % len(COLOURS)]) for n, name in enumerate(names)]


def mean(values: Iterable[float | None]) -> float | None:
    """Of those that are; None of nothing."""
    told = [value for value in values if value is not None]
    return statistics.fmean(told) if told else None


def plain(request: Request) -> float | None:
    """How long a plain answer took that went well."""
    return request.seconds if request.condition == "ok" and not request.stream else None


def first(request: Request) -> float | None:
    """How long a stream's first event took, if it went well."""
    return request.first if request.condition == "ok" else None


def page(run: Run) -> str:
    """The whole report."""
    bins = Bins(run)
    conditions = bins.by_condition()
    layers = [Series(name, values, GOOD if name == "ok" else COLOURS[(n + 1) % len(COLOURS)])
              for n, (name, values) in enumerate(conditions.items())]
    share = [Series("mean", [mean(second.share_mean for second in each) for each in bins.gateway], COLOURS[0]),
             Series("p99", [mean(second.share_p99 for second in each) for each in bins.gateway], COLOURS[2])]
    share = [Series(each.name, [None if value is None else value * 1000 for value in each.values], each.colour)
             for each in share]
    own = [Series("how late its loops are, ms", [mean(pulse.late * 1000 for pulse in each) for each in bins.pulses],
                  COLOURS[0]),
           Series("its busiest process, % of a core", [max((pulse.cpu * 100 for pulse in each), default=None)
                                                       for each in bins.pulses], COLOURS[1])]
    charts = (
        ("Plain answers that went well", "ms", bins.times(plain), False),
        ("Streams that went well: until the first event", "ms", bins.times(first), False),
        ("Requests by condition (x-edge-condition)", "per s", layers, True),
        ("The gateway's own share (edge_overhead_seconds)", "ms", share, False),
        ("CPU of the gateway's processes", "% of a core", bins.processes(lambda second: second.cpu, 100), False),
        ("Resident memory of the gateway's processes", "MB", bins.processes(lambda second: second.memory, 1e-6), False),
        ("The load generator itself", "", own, False))
    drawn = "".join(f"<section><h2>{escape(title)}</h2>{chart(bins.axis, unit, series, stacked)}</section>"
                    for title, unit, series, stacked in charts if any(any(v is not None for v in each.values)
                                                                      for each in series))
    return (f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>edge: {escape(run.name)}</title><style>{STYLE}</style><h1>Scenario: {escape(run.name)}</h1>"
            f'<p>{escape(run.about)}</p><p class="dim">{escape(run.conditions)}</p>'
            f"{''.join(f'<p>{escape(line)}</p>' for line in told(run, bins))}{drawn}"
            f"<h2>Requests by call and condition</h2>{table(*calls(run.records.requests))}"
            f"<h2>By time</h2>{table(*by_time(bins, conditions, [*charts[0][2], *charts[1][2], *share]))}</html>\n")


def told(run: Run, bins: Bins) -> list[str]:
    """The run in words."""
    requests = run.records.requests
    well = sum(request.condition == "ok" for request in requests)
    lines = [f"{len(requests)} requests in {run.seconds:g} s, {well / max(1, len(requests)):.2%} of them ok."]
    for what, chosen in (("Plain answers", plain), ("First events of streams", first)):
        values = [value * 1000 for request in requests if (value := chosen(request)) is not None]
        if values:
            told = ", ".join(f"{name} {percentile(values, part):.1f} ms" for name, part, _ in PARTS)
            lines[0] += f" {what}: {told}."
    if len(run.samples) > 1:
        lines.append(gateway(run.samples[0], run.samples[-1]))
    if bins.shaded:
        lines.append(f"The load generator was saturated in {len(bins.shaded)} of {bins.axis.bins} bins of "
                     f"{bins.axis.bin:g} s, shaded below: times taken then are its own, too. Fewer clients, more "
                     "--workers where there are cores for them, or a machine on which nothing else runs help.")
    else:
        lines.append("The load generator was never saturated.")
    return lines


def gateway(start: Sample, end: Sample) -> str:
    """What the gateway took, in words."""
    memory = [sum(sample.memory.values()) / 1e6 for sample in (start, end)]
    cpu = sum(end.cpu.values()) - sum(start.cpu.get(name, 0) for name in end.cpu)
    hours = (end.at - start.at) / 3600
    count = sum(end.conditions.values()) - sum(start.conditions.values())
    return (f"The gateway: {cpu / (end.at - start.at):.1%} of a core, {cpu / max(1, count) * 1e6:.0f} µs a request "
            "(all processes, looks at /metrics among them); resident memory, what processes share counted in each, "
            f"{memory[0]:.1f} MB in the beginning, {memory[1]:.1f} in the end"
            + (f", {(memory[1] - memory[0]) / hours:+.1f} MB an hour." if hours > 0.1 else "."))


def calls(requests: Sequence[Request]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of calls and conditions."""
    found: dict[tuple[str, bool, str], list[Request]] = defaultdict(list)
    for request in requests:
        found[request.name, request.condition != "ok", request.condition].append(request)
    rows = []
    for (name, _, condition), alike in sorted(found.items()):
        times = [request.seconds * 1000 for request in alike]
        firsts = [request.first * 1000 for request in alike if request.first is not None]
        rows.append([name, condition, str(len(alike)), *(shown(percentile(times, part)) for _, part, _ in PARTS),
                     *(shown(percentile(firsts, part)) for _, part, _ in PARTS)])
    return (["call", "condition", "requests", *(f"{name}, ms" for name, _, _ in PARTS),
             *(f"first event {name}" for name, _, _ in PARTS)], rows)


def by_time(bins: Bins, conditions: Mapping[str, Sequence[float | None]],
            series: Sequence[Series]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of what the charts show."""
    groups = ("plain",) * 3 + ("first event",) * 3 + ("own share",) * 2
    head = ["from s", *(f"{name}/s" for name in conditions),
            *(f"{group} {each.name}" for group, each in zip(groups, series, strict=True))]
    return head, [[f"{n * bins.axis.bin:g}", *(shown(values[n]) for values in conditions.values()),
                   *(shown(each.values[n]) for each in series)] for n in range(bins.axis.bins)]


def shown(value: float | None) -> str:
    """A figure of a table."""
    return "–" if value is None else f"{value:.2f}".rstrip("0").rstrip(".")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in HTML."""
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head),
             *("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)]
    return f'<div class="wide"><table>{"".join(f"<tr>{line}</tr>" for line in lines)}</table></div>'
