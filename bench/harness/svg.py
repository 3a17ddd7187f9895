"""Charts over time as SVG: lines, or bars on top of each other, with marks and shaded seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 900, 230
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 22, 24
# Told apart by those who see colours otherwise, too (Okabe and Ito).
COLOURS = ("#0072b2", "#e69f00", "#d55e00", "#cc79a7", "#56b4e9", "#b8a000", "#7a5195", "#666666")
GOOD = "#009e73"
Scale = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or one layer of the bars: a value for each bin, None where there is none."""

    name: str
    values: Sequence[float | None]
    colour: str


@dataclass(frozen=True, slots=True)
class Axis:
    """The time that all charts of a page share."""

    seconds: float
    bin: float
    marks: Sequence[tuple[float, str]]          # when, and what
    shaded: Sequence[int] = ()                  # numbers of bins

    @property
    def bins(self) -> int:
        """How many there are."""
        return max(1, math.ceil(self.seconds / self.bin))

    def x(self, at: float) -> float:
        """Where a second is drawn."""
        return LEFT + min(1.0, max(0.0, at / (self.bins * self.bin))) * (WIDTH - LEFT - RIGHT)


def ticks(top: float) -> list[float]:
    """Round numbers from 0 to at least `top`, four to six of them."""
    if top <= 0:
        return [0.0, 1.0]
    raw = top / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    return [step * n for n in range(math.ceil(top / step * 0.999) + 1)]


def chart(axis: Axis, unit: str, series: Sequence[Series], stacked: bool = False) -> str:
    """One chart, its legend in HTML above it."""
    tops = [sum(each.values[n] or 0 for each in series) if stacked else
            max((each.values[n] or 0 for each in series), default=0) for n in range(axis.bins)]
    scale = ticks(max(tops, default=0))

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - value / scale[-1] * (HEIGHT - TOP - BOTTOM)

    drawn = [*_ground(axis), *_grid(axis, scale, y, unit),
             *(_bars(axis, series, y) if stacked else _lines(axis, series, y)), *_marks(axis),
             *_words(axis, series)]
    legend = "".join(f'<span><i style="background:{each.colour}"></i>{escape(each.name)}</span>' for each in series)
    return (f'<p class="legend">{legend}</p>'
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(drawn)}</svg>')


def _ground(axis: Axis) -> list[str]:
    wide = axis.x(axis.bin) - axis.x(0)
    return [f'<rect class="shade" x="{axis.x(n * axis.bin):.1f}" y="{TOP}" width="{wide:.1f}" '
            f'height="{HEIGHT - TOP - BOTTOM}"/>' for n in axis.shaded]


def _grid(axis: Axis, scale: list[float], y: Scale, unit: str) -> list[str]:
    drawn = []
    for value in scale:
        drawn.append(f'<path class="grid" d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}"/>'
                     f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    drawn.append(f'<text x="{LEFT - 6}" y="12" text-anchor="end">{escape(unit)}</text>')
    for at in ticks(axis.seconds):
        if at <= axis.seconds:
            drawn.append(f'<text x="{axis.x(at):.1f}" y="{HEIGHT - 6}" text-anchor="middle">{at:g} s</text>')
    return drawn


def _lines(axis: Axis, series: Sequence[Series], y: Scale) -> list[str]:
    drawn = []
    for each in series:
        path, down = "", False
        for n, value in enumerate(each.values):
            if value is not None:
                path += f"{'L' if down else 'M'}{axis.x((n + 0.5) * axis.bin):.1f} {y(value):.1f}"
                path += "" if down else "h.1"           # a value alone is a dot
            down = value is not None
        drawn.append(f'<path class="line" stroke="{each.colour}" d="{path}"/>')
    return drawn


def _bars(axis: Axis, series: Sequence[Series], y: Scale) -> list[str]:
    drawn, below = [], [0.0] * axis.bins
    wide = axis.x(axis.bin) - axis.x(0)
    for each in series:
        path = ""
        for n, value in enumerate(each.values):
            if value:
                high = y(below[n]) - y(below[n] + value)
                path += f"M{axis.x(n * axis.bin) + 0.5:.1f} {y(below[n]):.1f}v-{high:.1f}h{wide - 1:.1f}v{high:.1f}z"
                below[n] += value
        drawn.append(f'<path fill="{each.colour}" d="{path}"/>')
    return drawn


def _marks(axis: Axis) -> list[str]:
    return [f'<path class="mark" d="M{axis.x(at):.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
            f'<text class="said" x="{axis.x(at) + 4:.1f}" y="{TOP - 6}">{escape(text)}</text>'
            for at, text in axis.marks]


def _words(axis: Axis, series: Sequence[Series]) -> list[str]:
    """What a pointer that rests on a bin is told."""
    drawn = []
    wide = axis.x(axis.bin) - axis.x(0)
    for n in range(axis.bins):
        told = [f"{each.name}: {value:.4g}" for each in series if (value := each.values[n]) is not None]
        if told:
            drawn.append(f'<rect class="told" x="{axis.x(n * axis.bin):.1f}" y="{TOP}" width="{wide:.1f}" '
                         f'height="{HEIGHT - TOP - BOTTOM}"><title>{n * axis.bin:g} s\n'
                         f'{escape(chr(10).join(told))}</title></rect>')
    return drawn
