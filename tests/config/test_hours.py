"""The hours of keys: how they are written, and when they are open."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.values.hours import DAYS, Hours, closed, read


def at(text: str, zone: str = "UTC") -> float:
    """Unix time of what a clock on the wall shows there."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


# 2026-11-30 is a Monday. Berlin's clocks go on an hour on 2027-03-28 at 2, and back on 2026-10-25 at 3.
@pytest.mark.parametrize(("written", "when", "zone", "said"), [
    ("mon-fri 08:00-18:00", "2026-11-30T08:00", "UTC", None),
    ("mon-fri 08:00-18:00", "2026-11-30T17:59:59", "UTC", None),
    ("mon-fri 08:00-18:00", "2026-11-30T18:00", "UTC", "from Tuesday, 2026-12-01 08:00 UTC on"),
    ("mon-fri 08:00-18:00", "2026-12-04T18:00", "UTC", "from Monday, 2026-12-07 08:00 UTC on"),
    ("mon 08:00-18:00", "2026-11-30T18:00", "UTC", "from Monday, 2026-12-07 08:00 UTC on"),
    ("mon,wed-thu 08:00-18:00", "2026-12-01T12:00", "UTC", "from Wednesday, 2026-12-02 08:00 UTC on"),
    ("sat-sun 00:00-24:00", "2026-12-05T00:00", "UTC", None),
    ("fri-mon 00:00-24:00", "2026-12-01T00:00", "UTC", "from Friday, 2026-12-04 00:00 UTC on"),
    ("22:00-06:00", "2026-12-01T05:59", "UTC", None),
    ("22:00-06:00", "2026-12-01T22:00", "UTC", None),
    ("22:00-06:00", "2026-12-01T06:00", "UTC", "from Tuesday, 2026-12-01 22:00 UTC on"),
    ("mon 22:00-06:00", "2026-12-01T05:59", "UTC", None),
    ("tue 22:00-06:00", "2026-12-01T05:59", "UTC", "from Tuesday, 2026-12-01 22:00 UTC on"),
    ("mon-sun 08:00-08:00", "2026-12-01T07:59", "UTC", None),
    ("08:00-18:00 Europe/Berlin", "2026-12-01T07:00", "UTC", None),
    ("08:00-18:00 Europe/Berlin", "2026-07-01T06:00", "UTC", None),
    ("08:00-18:00 Europe/Berlin", "2026-12-01T06:59", "UTC", "from Tuesday, 2026-12-01 08:00 Europe/Berlin on"),
    ("02:30-04:00 Europe/Berlin", "2027-03-28T03:10", "Europe/Berlin", None),
    ("02:10-02:50 Europe/Berlin", "2027-03-28T01:59", "Europe/Berlin",
     "from Monday, 2027-03-29 02:10 Europe/Berlin on"),
    ("02:30-04:00 Europe/Berlin", "2027-03-28T01:59", "Europe/Berlin",
     "from Sunday, 2027-03-28 03:00 Europe/Berlin on"),
    ("00:00-02:10 Europe/Berlin", "2026-10-25T02:30", "Europe/Berlin",
     "from Sunday, 2026-10-25 02:00 Europe/Berlin on"),
    ("mon-fri 09:00-17:00 Asia/Kolkata", "2026-11-30T03:30", "UTC", None),
])
def test_when_hours_are_open(written: str, when: str, zone: str, said: str | None) -> None:
    """Hours are those of the clock on the wall in their zone; who comes at another time hears when they open."""
    assert closed([read(written)], at(when, zone)) == said


def test_the_first_window_that_opens() -> None:
    """Of several windows one that is open is enough; else the one that opens first is named."""
    windows = [read("mon-fri 09:00-17:00 America/New_York"), read("mon-fri 09:00-17:00 Asia/Tokyo")]
    assert closed(windows, at("2026-11-30T15:00")) is None
    assert closed(windows, at("2026-11-30T12:00")) == "from Monday, 2026-11-30 09:00 America/New_York on"
    assert closed(windows, at("2026-11-30T23:00")) == "from Tuesday, 2026-12-01 09:00 Asia/Tokyo on"


# Clocks are put on by an hour at 2 in Berlin, by half an hour in Lord Howe, by two at Troll, at midnight in Cairo and
# Havana, and back again: times that are left out, and times that come twice.
STEPS = {"Europe/Berlin": ("2026-03-29", "2026-10-25"), "Australia/Lord_Howe": ("2026-10-04", "2026-04-05"),
         "Antarctica/Troll": ("2026-03-29", "2026-10-25"), "Africa/Cairo": ("2026-04-24", "2026-10-29"),
         "America/Havana": ("2026-03-08", "2026-11-01"), "Asia/Kolkata": ("2026-01-01", "2026-07-01")}
MINUTES = st.one_of(st.integers(0, 240), st.integers(1380, 1439), st.integers(0, 1439))


@given(st.sets(st.integers(0, 6), min_size=1), MINUTES, st.one_of(MINUTES, st.just(1440)), st.sampled_from(list(STEPS)),
       st.integers(0, 1), st.one_of(st.integers(-360, 360), st.integers(-9 * 1440, 1440)))
def test_what_is_said_comes_true(days: set[int], begin: int, end: int, zone: str, which: int, minute: int) -> None:
    """When hours are said to open they are open, and at no minute before, also where clocks are put on or back."""
    window = Hours(frozenset(days), begin, end, zone)
    now = at(f"{STEPS[zone][which]}T02:00", zone) + 60 * minute
    if not window.holds(now):
        seconds = next(ahead for ahead in itertools.count(60, 60) if window.holds(now + ahead))
        assert window.opens(now).timestamp() - now == seconds


@pytest.mark.parametrize("days", [*DAYS, *("-".join(ends) for ends in itertools.product(DAYS, DAYS))])
def test_days(days: str) -> None:
    """A range of days goes on over Sunday, and holds both its ends."""
    first, _, last = days.partition("-")
    found, day = set(), DAYS.index(first)
    while True:
        found.add(day)
        if DAYS[day] == (last or first):
            break
        day = (day + 1) % 7
    assert read(f"{days} 08:00-09:00").days == found


@pytest.mark.parametrize(("written", "said"), [
    ("mon-fri", "is not of the form"), ("8:00-18:00", "is not of the form"), ("08:00-24:01", "ends after 24:00"),
    ("25:00-26:00", "is not of the form"), ("24:00-01:00", "is not of the form"), ("mon- 08:00-18:00", "is not of"),
    ("monday 08:00-18:00", "is not of the form"), ("mon,, 08:00-18:00", "is not of"), ("08:00-18:00 ", "is not of"),
    ("08:00-18:00 Europe/Brelin", "there is no time zone Europe/Brelin"), ("08:00-18:00 ../etc", "is not of the form"),
    ("08:00-18:00 A/../../etc/passwd", "is not of the form"), ("08:00-18:00 " + "x" * 300, "there is no time zone"),
    ("08:00-18:00 Europe", "there is no time zone Europe"), ("Mon 08:00-18:00", "is not of the form"),
])
def test_hours_that_are_none(config: Any, written: str, said: str) -> None:
    """What cannot be read is a problem of its line, with an example."""
    found = config.problem(f"""\
        port: 1
        listen_addr: 127.0.0.1
        providers: {{openai: {{key: env:OPENAI_API_KEY}}}}
        keys:
          - {{name: a, key: env:KEY_A, hours: ["08:00-18:00", "{written}"]}}
        """)
    assert (found.key, found.place.line) == ("keys[0].hours[1]", 5)
    assert said in found.message and "Europe/Berlin" in found.way_out


@pytest.mark.parametrize(("line", "key", "said"), [
    ("trusted_proxies: [10.0.0.1/8]", "trusted_proxies[0]", "inside of a network"),
    ("trusted_proxies: [proxy.internal]", "trusted_proxies[0]", "no address and no network"),
    ("trusted_proxies: [10.0.0.0/33]", "trusted_proxies[0]", "no address and no network"),
    ("trusted_proxies: ['fe80::1%eth0']", "trusted_proxies[0]", "names a zone"),
    ("keys: [{name: a, key: env:KEY_A, denied_addresses: ['fe80::%1/64']}]", "keys[0].denied_addresses[0]", "a zone"),
    ("proxy_protocol: true", "proxy_protocol", "nobody's word"),
    ("keys: [{name: a, key: env:KEY_A, allowed_addresses: ['::1/127']}]", "keys[0].allowed_addresses[0]", "inside of"),
    ("keys: [{name: a, key: env:KEY_A, denied_addresses: ['*']}]", "keys[0].denied_addresses[0]", "no address and no"),
    ("keys: [{name: a, key: env:KEY_A, state: frozen, disabled: true}]", "keys[0].state", "disabled: true stands"),
    ("keys: [{name: a, key: env:KEY_A, denied_models: ['a**']}]", "keys[0].denied_models[0]", "is no pattern"),
])
def test_rules_that_are_wrong(config: Any, line: str, key: str, said: str) -> None:
    """A network, a state or a pattern that is none is a problem of its line."""
    keys = "" if line.startswith("keys") else "keys: [{name: a, key: env:KEY_A}]\n"
    found = config.problem(
        f"port: 1\nlisten_addr: 127.0.0.1\nproviders: {{openai: {{key: env:OPENAI_API_KEY}}}}\n{keys}{line}\n")
    assert found.key == key and said in found.message and found.way_out
