"""What providers say of when to come again, in all the ways they say it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.contract.waits import LONGEST_MS, wait_ms

NOW = 784111777.0           # Sun, 06 Nov 1994 08:49:37 GMT, the moment of RFC 9110's examples


def wait(fields: dict[str, str], now: float = NOW) -> int | None:
    """`wait_ms` with text."""
    return wait_ms({name.encode(): value.encode("latin-1") for name, value in fields.items()}, now)


def spent(reset: str, left: str = "0", name: str = "x-ratelimit-{}-tokens") -> dict[str, str]:
    """A limit of which that much is left."""
    return {name.format("remaining"): left, name.format("reset"): reset}


def anthropic(limit: str, left: str, reset: str) -> dict[str, str]:
    """One of Anthropic's limits."""
    return spent(reset, left, f"anthropic-ratelimit-{limit}-{{}}")


@pytest.mark.parametrize(("value", "expected"), [
    ("7", 7000), ("0", 1), ("1.5", 1500), ("1.1", 1100), ("0.0001", 1), (" 2 ", 2000), ("86401", LONGEST_MS),
    ("9" * 60, LONGEST_MS), ("3.", 3000),
    ("Sun, 06 Nov 1994 08:49:47 GMT", 10000), ("Sunday, 06-Nov-94 08:49:47 GMT", 10000),
    ("Sun Nov  6 08:49:47 1994", 10000), ("Sun, 06 Nov 1994 08:49:37 GMT", 1), ("Sat, 05 Nov 1994 08:49:37 GMT", 1),
    ("Sun, 06 Nov 1994 08:49:60 GMT", 22000), ("Mon, 07 Nov 1994 09:49:37 GMT", LONGEST_MS),
    ("Thursday, 06-Nov-44 08:49:37 GMT", LONGEST_MS), ("Tuesday, 06-Nov-45 08:49:37 GMT", 1),
    ("", None), ("soon", None), ("-1", None), ("1e3", None), ("inf", None), ("nan", None), ("1_0", None), ("+1", None),
    ("1,2", None), ("0x10", None), (".5", None), ("5s", None), ("9" * 300, None),
    ("Sun, 31 Feb 1994 08:49:37 GMT", None), ("Sun, 06 Nov 1994 24:49:37 GMT", None), ("06 Nov 1994", None),
    ("Sun, 06 Nov 1994 08:49:37 CET", None), ("Sun, 00 Nov 1994 08:49:37 GMT", None),
    ("Sun, 06 Nov 0000 08:49:37 GMT", None), ("1994-11-06T08:49:47Z", None),
])
def test_retry_after(value: str, expected: int | None) -> None:
    """Retry-After is seconds, with decimals too, or a date in one of RFC 9110's three forms; nonsense is nothing."""
    assert wait({"retry-after": value}) == expected


@pytest.mark.parametrize(("fields", "expected"), [
    ({"retry-after-ms": "250"}, 250), ({"retry-after-ms": "0.2"}, 1), ({"retry-after-ms": "99999999999"}, LONGEST_MS),
    ({"retry-after-ms": "250", "retry-after": "9"}, 250), ({"retry-after-ms": "x", "retry-after": "9"}, 9000),
    ({"retry-after-ms": "-5"}, None), ({"retry-after": "2", **spent("6m0s")}, 2000),
    ({"retry-after": "nonsense", **spent("6m0s")}, 360_000), ({}, None), ({"date": "5", "x": ""}, None),
])
def test_what_is_said_outright_goes_first(fields: dict[str, str], expected: int | None) -> None:
    """Milliseconds go before seconds, Retry-After before limits, and what says nothing is passed over."""
    assert wait(fields) == expected


@pytest.mark.parametrize(("reset", "expected"), [
    ("1s", 1000), ("6m0s", 360_000), ("120ms", 120), ("1h2m3.5s", 3_723_500), ("17.32ms", 18), ("2m59.56s", 179_560),
    ("0s", 1), ("2d", LONGEST_MS), ("3", 3000), ("0.25", 250), (str(int(NOW) + 9), None), ("1s2", None), ("s", None),
    ("", None), ("1 s", None), ("-1s", None), ("1y", None), ("1.s", 1000), ("ms", None),
    ("1994-11-06T08:49:40Z", 3000),
])
def test_durations_of_openai_s_limits(reset: str, expected: int | None) -> None:
    """A spent limit of OpenAI's says as a duration when it is full again."""
    if expected is None and reset.isdigit():
        expected = LONGEST_MS       # below 10^9 it cannot be told from seconds, and is more than a day
    assert wait(spent(reset)) == expected
    assert wait(spent(reset, name="x-ratelimit-{}-requests")) == expected


@pytest.mark.parametrize("left", ["1", "10", "", "x", "0.5", "00x"])
def test_a_limit_that_is_not_spent_says_nothing(left: str) -> None:
    """The reset of a limit counts where nothing is left of it alone."""
    assert wait(spent("9s", left)) is None
    assert wait(anthropic("tokens", left, "1994-11-06T08:49:40Z")) is None
    assert wait({"x-ratelimit-reset-tokens": "9s", "x-ratelimit-remaining-requests": "0"}) is None


@pytest.mark.parametrize(("reset", "expected"), [
    ("1994-11-06T08:49:40Z", 3000), ("1994-11-06t08:49:40z", 3000), ("1994-11-06T08:49:38.25Z", 1250),
    ("1994-11-06T09:49:38+01:00", 1000), ("1994-11-06T08:00:00Z", 1), ("2094-11-06T08:49:38Z", LONGEST_MS),
    ("1994-11-06T08:49:40", None), ("1994-13-06T08:49:40Z", None), ("1994-11-06", None), ("1994-11-06T08:49:61Z", None),
    ("0001-01-01T00:00:00+23:59", 1), ("1994-11-06T08:49:40.123456789Z", 3124),
])
@pytest.mark.parametrize("limit", ["requests", "tokens", "input-tokens", "output-tokens"])
def test_times_of_anthropic_s_limits(limit: str, reset: str, expected: int | None) -> None:
    """A spent limit of Anthropic's says as a time of RFC 3339 when it is full again."""
    assert wait(anthropic(limit, "0", reset)) == expected


def test_of_several_limits_the_longest_counts() -> None:
    """Whoever comes back when the first of two spent limits is full meets the other."""
    fields = {**anthropic("requests", "0", "1994-11-06T08:49:40Z"), **anthropic("tokens", "0", "1994-11-06T08:49:47Z"),
              **anthropic("input-tokens", "5", "1994-11-06T09:49:47Z")}
    assert wait(fields) == 10_000
    assert wait({**fields, **spent("20s"), **spent("10s", name="x-ratelimit-{}-requests")}) == 20_000


@pytest.mark.parametrize(("fields", "expected"), [
    ({"ratelimit-remaining": "0", "ratelimit-reset": "12"}, 12_000),
    ({"ratelimit-remaining": "3", "ratelimit-reset": "12"}, None),
    ({"ratelimit": "limit=100, remaining=0, reset=5"}, 5000), ({"ratelimit": "limit=100, remaining=9, reset=5"}, None),
    ({"ratelimit": '"default";r=0;t=30'}, 30_000), ({"ratelimit": '"default";r=1;t=30'}, None),
    ({"ratelimit": '"minute";r=0;t=30, "day";r=0;t=600, "hour";r=2;t=3600'}, 600_000),
    ({"ratelimit": '"a";t=30;r=0'}, 30_000), ({"ratelimit": '"a";r=0'}, None), ({"ratelimit": "0"}, None),
    ({"ratelimit": '"a";r=0;t=-4'}, 1), ({"ratelimit": '"a";or=0;at=4'}, None),
    ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) + 9)}, LONGEST_MS),
])
def test_limits_of_the_ietf_s_draft(fields: dict[str, str], expected: int | None) -> None:
    """RateLimit fields of the draft's older and newer forms count where a limit is spent."""
    assert wait(fields) == expected


@pytest.mark.parametrize("reset", ["1741305600", "1741305600000"])
def test_a_reset_can_be_a_unix_time(reset: str) -> None:
    """A reset too large for a number of seconds is a Unix time, in seconds or milliseconds."""
    assert wait({"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}, 1741305591.5) == 8500


@given(st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1)), st.integers(1, 80_000))
def test_dates_agree_with_the_standard_library(now: datetime, ahead: int) -> None:
    """A date that Python writes, in any of the three forms, is as far off as it was made."""
    now = now.replace(microsecond=0, tzinfo=UTC)
    then = now + timedelta(seconds=ahead)
    for text in (format_datetime(then, usegmt=True), then.strftime("%A, %d-%b-%y %H:%M:%S GMT"), then.ctime()):
        assert wait({"retry-after": text}, now.timestamp()) == ahead * 1000
    local = then.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat()
    assert wait(anthropic("tokens", "0", local), now.timestamp()) == ahead * 1000


NAMES = st.sampled_from([
    b"retry-after", b"retry-after-ms", b"ratelimit", b"ratelimit-remaining", b"ratelimit-reset",
    b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens", b"anthropic-ratelimit-requests-remaining",
    b"anthropic-ratelimit-requests-reset"]) | st.binary(max_size=5)
VALUES = st.binary(max_size=300) | st.from_regex(rb"[0-9a-zA-Z:.;,=TZ+ -]{0,40}", fullmatch=True) | st.just(b"0")


@given(st.dictionaries(NAMES, VALUES), st.floats(0, 4e9))
def test_no_field_is_too_strange(fields: dict[bytes, bytes], now: float) -> None:
    """Whatever the fields are, the wait is none or between 1 ms and 24 h."""
    found = wait_ms(fields, now)
    assert found is None or 1 <= found <= LONGEST_MS
