"""Markdown tables of samples."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from .load import Run
from .rounds import Load, Sample, paired, spread
from .streams import Streamed
from .targets import DIRECT


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints one table, its columns aligned for readers of the plain text."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in (head, *rows)]
    lines.insert(1, ["-" * width for width in widths])
    print("\n".join("| " + " | ".join(line) + " |" for line in lines), flush=True)


def requested(samples: Mapping[str, list[Sample[Run]]], against: str) -> None:
    """Requests and refusals: CPU per request, and the paired ratio to the target `against`."""
    base = [sample.cost for sample in samples.get(against, [])]
    rows = []
    for label, taken in samples.items():
        costs = [sample.cost for sample in taken]
        rows.append([
            label, _range(costs), str(paired(costs, base)) if base else "–",
            f"{_middle(taken, lambda s: s.load.answers * 1e6 / s.load.microseconds):.0f}",
            f"{_middle(taken, lambda s: s.cpu * 100 / s.seconds):.0f}",
            f"{_middle(taken, lambda s: s.load.p50 / 1000):.2f}",
            f"{_middle(taken, lambda s: s.load.p99 / 1000):.2f}"])
    table(["target", "CPU µs/request", f"× {against}, paired", "requests/s", "core %", "p50 ms", "p99 ms"], rows)
    _noise(samples)


def waited(samples: Mapping[str, list[Sample[Run]]]) -> None:
    """How long requests took."""
    rows = [[label, *(_range([getattr(sample.load, value) / 1000 for sample in taken], 2) for value in ("p50", "p99"))]
            for label, taken in samples.items()]
    table(["target", "p50 ms", "p99 ms"], rows)
    _noise(samples)


def streamed(samples: Mapping[str, list[Sample[Streamed]]], against: str) -> None:
    """Streams: CPU per event, and what the first event waited beyond the direct path of the same round."""
    base = [sample.cost for sample in samples.get(against, [])]
    direct = [sample.load.first_p50 for sample in samples[DIRECT]]
    rows = []
    for label, taken in samples.items():
        costs = [sample.cost for sample in taken]
        first = [sample.load.first_p50 for sample in taken]
        added = [(mine - theirs) / 1000 for mine, theirs in zip(first, direct, strict=True)]
        own = label == DIRECT
        rows.append([
            label, _range(costs), "–" if own or not base else str(paired(costs, base)),
            f"is {statistics.median(first) / 1000:.2f}" if own else _range(added, 2),
            f"{_middle(taken, lambda s: s.load.relay_p50 / 1000):.2f}",
            f"{_middle(taken, lambda s: s.load.relay_p99 / 1000):.2f}",
            f"{_middle(taken, lambda s: s.load.answers / s.load.seconds):.0f}",
            f"{_middle(taken, lambda s: s.load.answers / s.load.reads):.1f}",
            f"{_middle(taken, lambda s: s.cpu * 100 / s.seconds):.0f}"])
    table(["target", "CPU µs/event", f"× {against}, paired", "first event added p50 ms", "event p50 ms",
           "event p99 ms", "events/s", "events/read", "core %"], rows)
    _noise(samples)


def _range(values: Sequence[float], digits: int = 1) -> str:
    taken = spread(values)
    return f"{taken.median:.{digits}f} ({taken.low:.{digits}f}–{taken.high:.{digits}f})"


def _middle(taken: list[Sample[Load]], value: Callable[[Sample[Load]], float]) -> float:
    return statistics.median(value(sample) for sample in taken)


def _noise(samples: Mapping[str, list[Sample[Load]]]) -> None:
    others = [sample.others * 100 for taken in samples.values() for sample in taken]
    print(f"\nOther processes: median {statistics.median(others):.1f} %, "
          f"at most {max(others):.1f} % of a core.\n")
