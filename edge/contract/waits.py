"""When a provider says to come again: the fields of its answer -> milliseconds."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime

LONGEST_MS = 24 * 3600 * 1000

# What is left of a limit, and when there will be more: it says something where nothing is left.
_LIMITS = tuple((left.encode(), reset.encode()) for left, reset in (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    *((f"anthropic-ratelimit-{limit}-remaining", f"anthropic-ratelimit-{limit}-reset")
      for limit in ("requests", "tokens", "input-tokens", "output-tokens")),
    ("ratelimit-remaining", "ratelimit-reset"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
))
_LONGEST_VALUE = 256
_NUMBER = re.compile(rb"[0-9]+(?:\.[0-9]*)?")
_SPENT = re.compile(rb"0+|-[0-9]+")
_TERM = re.compile(rb"([0-9]+(?:\.[0-9]*)?)(ms|s|m|h|d)")
_TERMS = re.compile(rb"(?:[0-9]+(?:\.[0-9]*)?(?:ms|s|m|h|d))+")
_UNITS = {b"ms": 0.001, b"s": 1, b"m": 60, b"h": 3600, b"d": 86400}
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
# draft-ietf-httpapi-ratelimit-headers: `"policy";r=0;t=30` for each limit, before that `remaining=0, reset=30` for one.
_PARAMETER = re.compile(rb"(?<![\w-])(r|t|remaining|reset)\s*=\s*(-?[0-9]+)")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY, _MONTH, _TIME = r"(?P<day>[ \d]\d)", f"(?P<month>{'|'.join(_MONTHS)})", r"(?P<time>\d\d:\d\d:\d\d)"
# RFC 9110 section 5.6.7: IMF-fixdate, RFC 850's, asctime's.
_DATES = tuple(re.compile(form, re.ASCII) for form in (
    rf"[A-Z][a-z]{{2}}, {_DAY} {_MONTH} (?P<year>\d{{4}}) {_TIME} GMT",
    rf"[A-Z][a-z]{{5,8}}, {_DAY}-{_MONTH}-(?P<year>\d\d) {_TIME} GMT",
    rf"[A-Z][a-z]{{2}} {_MONTH} {_DAY} {_TIME} (?P<year>\d{{4}})",
))


def wait_ms(fields: Mapping[bytes, bytes], now: float) -> int | None:
    """How long to wait, 1 ms to 24 h; None where nothing is said. Names in lower case; `now` is a Unix time in s.

    What Retry-After says goes before what limits do; of several limits that are spent the longest counts.
    """
    said = {name: value.strip() for name, value in fields.items() if len(value) <= _LONGEST_VALUE}
    explicit = _retry_after(said, now)
    if explicit is not None:
        return _clamped(explicit)
    waits = [_until(said[reset], now) for left, reset in _LIMITS
             if reset in said and _SPENT.fullmatch(said.get(left, b""))]
    waits += _of_ietf(said.get(b"ratelimit", b""))
    return _clamped(max((wait for wait in waits if wait is not None), default=None))


def _retry_after(said: Mapping[bytes, bytes], now: float) -> float | None:
    """In seconds, from the field that is more exact."""
    exact, usual = said.get(b"retry-after-ms", b""), said.get(b"retry-after", b"")
    if _NUMBER.fullmatch(exact):
        return float(exact) / 1000
    if _NUMBER.fullmatch(usual):
        return float(usual)
    return _date(usual, now)


def _until(value: bytes, now: float) -> float | None:
    """Seconds until a limit is full again: 6m0s, a number of seconds, a Unix time in s or ms, or RFC 3339."""
    if _NUMBER.fullmatch(value):
        number = float(value)
        return number if number < 1e9 else number - now if number < 1e12 else number / 1000 - now
    if _TERMS.fullmatch(value):
        return sum(float(number) * _UNITS[unit] for number, unit in _TERM.findall(value))
    text = value.decode("latin-1")
    if _RFC_3339.fullmatch(text):
        try:
            return datetime.fromisoformat(text.upper()).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return None


def _of_ietf(value: bytes) -> list[float | None]:
    """Of each limit in a RateLimit field that is spent, the seconds."""
    found: list[float | None] = []
    for limit in [value] if b"remaining" in value else value.split(b","):
        given = dict(_PARAMETER.findall(limit))
        left, reset = given.get(b"r", given.get(b"remaining")), given.get(b"t", given.get(b"reset"))
        if left is not None and reset is not None and _SPENT.fullmatch(left):
            found.append(float(reset))
    return found


def _date(value: bytes, now: float) -> float | None:
    """Seconds until an HTTP date."""
    text = value.decode("latin-1")
    found = next((match for form in _DATES if (match := form.fullmatch(text))), None)
    if found is None:
        return None
    year = int(found["year"])
    if len(found["year"]) == 2:             # at most 50 years ahead, else it is past
        this = datetime.fromtimestamp(now, UTC).year
        year = this + (year - this + 49) % 100 - 49
    hour, minute, second = map(int, found["time"].split(":"))
    try:
        date = datetime(year, _MONTHS.index(found["month"]) + 1, int(found["day"]), hour, minute, min(second, 59),
                        tzinfo=UTC)
    except ValueError:
        return None
    return date.timestamp() - now


def _clamped(seconds: float | None) -> int | None:
    """Milliseconds, rounded up: who comes too early comes in vain."""
    if seconds is None:
        return None
    return math.ceil(min(max(round(seconds * 1000, 3), 1), LONGEST_MS))
