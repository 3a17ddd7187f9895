"""When a key may be used: days and times of the week, each in a time zone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

MINUTE, DAY = 60, 86400     # seconds
AHEAD = 16                  # days: one of each weekday, also where clocks that are put on leave its window out
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = "|".join(DAYS)
_WINDOW = re.compile(
    rf"(?:(?P<days>(?:{_DAY})(?:-(?:{_DAY}))?(?:,(?:{_DAY})(?:-(?:{_DAY}))?)*) )?"
    r"(?P<begin>[01]\d|2[0-3]):(?P<begin_minute>[0-5]\d)-(?P<end>[01]\d|2[0-4]):(?P<end_minute>[0-5]\d)"
    r"(?: (?P<zone>[A-Za-z][A-Za-z0-9_+/-]*))?")


@dataclass(frozen=True, slots=True)
class Hours:
    """A window that opens on some days of the week. One that ends no later than it begins ends on the next day."""

    days: frozenset[int]                # 0 is Monday
    begin: int                          # minutes of the day
    end: int                            # up to 1440
    zone: str

    def holds(self, now: float) -> bool:
        """Whether it is open at that Unix time."""
        local = datetime.fromtimestamp(now, ZoneInfo(self.zone))
        day, minute = local.weekday(), local.hour * 60 + local.minute
        if self.begin < self.end:
            return day in self.days and self.begin <= minute < self.end
        return (day in self.days and minute >= self.begin) or ((day - 1) % 7 in self.days and minute < self.end)

    def opens(self, now: float) -> datetime:
        """When it opens next: at its first minute, or where clocks are put on over it, or back into it."""
        zone = ZoneInfo(self.zone)
        today = datetime.fromtimestamp(now, zone).date()
        begin = [time(*divmod(self.begin, 60), fold=fold) for fold in (0, 1)]       # which may come twice
        moments = [datetime.combine(today + timedelta(ahead), at, zone).timestamp()
                   for ahead in range(AHEAD) for at in begin]
        moments += _steps(zone, int(now))
        return datetime.fromtimestamp(min(at for at in moments if at > now and self.holds(at)), zone)


def _steps(zone: ZoneInfo, now: int) -> Iterable[int]:
    """When the zone's clocks are put on or back in the next days. They are at whole minutes."""
    def offset(at: int) -> timedelta | None:
        return datetime.fromtimestamp(at, zone).utcoffset()

    for low in range(now // MINUTE * MINUTE, now + AHEAD * DAY, DAY):
        high = low + DAY
        while offset(low) != offset(high):
            middle = (low + high) // 2 // MINUTE * MINUTE
            if middle == low:
                yield high
                break
            low, high = (low, middle) if offset(low) != offset(middle) else (middle, high)


def read(text: str) -> Hours:
    """Hours as written: `mon-fri 08:00-18:00 Europe/Berlin`. ValueError tells what is wrong with them."""
    found = _WINDOW.fullmatch(text)
    if found is None:
        raise ValueError("is not of the form DAYS HH:MM-HH:MM ZONE")
    begin = int(found["begin"]) * 60 + int(found["begin_minute"])
    end = int(found["end"]) * 60 + int(found["end_minute"])
    if end > 1440:
        raise ValueError("ends after 24:00")
    zone = found["zone"] or "UTC"
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"there is no time zone {zone}") from None
    return Hours(frozenset(_days(found["days"] or "mon-sun")), begin, end, zone)


def _days(text: str) -> Iterable[int]:
    for part in text.split(","):
        first, _, last = part.partition("-")
        begin = DAYS.index(first)
        count = (DAYS.index(last) - begin) % 7 + 1 if last else 1
        yield from ((begin + ahead) % 7 for ahead in range(count))


def closed(hours: Iterable[Hours], now: float) -> str | None:
    """None where one of the windows is open at that Unix time; else, for people, when the first of them opens."""
    if any(window.holds(now) for window in hours):
        return None
    first, window = min(((window.opens(now), window) for window in hours), key=lambda pair: pair[0].timestamp())
    return f"from {first:%A, %Y-%m-%d %H:%M} {window.zone} on"
