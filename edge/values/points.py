"""Points: what of them a key may spend, and how they are written.

A point has a million micro-points, in which everything is counted: money is integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MICRO = 10**6
SETTINGS = ("points", "points_per_month", "points_per_day", "points_per_hour")      # of a key, in points
MOST = 10**18               # micro-points of a balance: sums of some stay within 63 bits


def parts(settings: Mapping[str, Any]) -> tuple[int, ...]:
    """What settings say that a key may spend in all, a month, a day, an hour, in micro-points; 0: any number."""
    return tuple(MICRO * (settings.get(name) or 0) for name in SETTINGS)


def shown(points: int) -> str:
    """Micro-points as points: 12.5, exactly."""
    sign, whole = "-" * (points < 0), abs(points)
    rest = f"{whole % MICRO:06}".rstrip("0")
    return f"{sign}{whole // MICRO}{'.' if rest else ''}{rest}"


def read(text: str) -> int:
    """The reverse. ValueError: it is no number of points, has more than six places, or is more than there can be."""
    sign, body = (-1, text[1:]) if text.startswith("-") else (1, text)
    whole, dot, rest = body.partition(".")
    digits = whole + rest
    if not (digits.isascii() and digits.isdigit() and whole and len(rest) <= 6 and bool(dot) == bool(rest)):
        raise ValueError("must be a number of points with at most six places, for example 12.5")
    if len(whole) > 13 or int(whole) * MICRO + int(rest.ljust(6, "0")) > MOST:
        raise ValueError(f"must be {MOST // MICRO} points at most")
    return sign * (int(whole) * MICRO + int(rest.ljust(6, "0")))


def balance(store: object, owner: str) -> bytes:
    """What a balance is called in shared memory: what one store says of an owner is nothing to another one's."""
    return f"{store}\n{owner}".encode()
