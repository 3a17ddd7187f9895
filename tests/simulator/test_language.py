"""The language of faults: what a spec means, and what is told of one that means nothing."""

from __future__ import annotations

import dataclasses
import math

import pytest

from edge.simulator.faults import FAULTS, Fault, FaultError, parse, table

SPECS = [
    ("status=529;retry-after=7", Fault(status=529, retry_after=("seconds", 7))),
    ("status=503;should-retry=false", Fault(status=503, should_retry="false")),
    ("retry-after=ms:1500", Fault(retry_after=("ms", 1500))),
    ("retry-after=date:30", Fault(retry_after=("date", 30))),
    (" latency=200 ; jitter=50 ;", Fault(latency=0.2, jitter=0.05)),
    ("drip", Fault(drip=(1, 0.01))),
    ("drip=5,20", Fault(drip=(5, 0.02))),
    ("stall", Fault(stall=(1, math.inf))),
    ("stall=0", Fault(stall=(0, math.inf))),
    ("stall=3,250", Fault(stall=(3, 0.25))),
    ("hang", Fault(hang=True)),
    ("early", Fault(early=True)),
    ("refuse", Fault(refuse=1.0)),
    ("refuse=20", Fault(refuse=0.02)),
    ("cut=0", Fault(cut=0)),
    ("reset=100", Fault(reset=100)),
    ("close-idle", Fault(close_idle=0.0)),
    ("malformed=chunk", Fault(malformed="chunk")),
    ("error=quota;limit-reset=1500", Fault(error="quota", limit_reset=1.5)),
    ("interim", Fault(interim=1)),
    ("interim=0", Fault(interim=0)),
    ("endless-head", Fault(endless_head=True)),
    ("mute=200", Fault(mute=0.2)),
    ("error-event;no-terminal", Fault(error_event=(1, None), no_terminal=True)),
    ("error-event=0,rate", Fault(error_event=(0, "rate"))),
    ("response-failed", Fault(response_failed=(1, None))),
    ("response-failed=3,rate", Fault(response_failed=(3, "rate"))),
    ("status=307;location=https://a.example/?b=c", Fault(status=307, location=b"https://a.example/?b=c")),
    ("type", Fault(type=b"")),
    ("type=text/html;body=<p>;</p>", Fault(type=b"text/html", body=b"<p>;</p>")),
    ("content-encoding=identity", Fault(content_encoding=b"identity")),
    ("event=[1]", Fault(event=b"[1]")),
    ("terminal=blank;hold", Fault(terminal="blank", hold=math.inf)),
    ("hold=200", Fault(hold=0.2)),
    ("error-in-200", Fault(error_in_200="server")),
    ("error-in-200=quota", Fault(error_in_200="quota")),
    ("empty", Fault(empty=True)),
    ("extra-bytes", Fault(extra_bytes=8)),
    ("big=1000", Fault(big=1000)),
    ("tokens=50;delay=20", Fault(tokens=50, delay=0.02)),
    ("status=400;body={\"a\": 1; \"hang\"=2}", Fault(status=400, body=b'{"a": 1; "hang"=2}')),
    ("body=", Fault(body=b"")),
]

WRONG = [
    ("", "the spec is empty"), (" ; ", "`` is no fault"), ("nothing", "`nothing` is no fault"),
    ("status", "`status` needs a value: status=N"), ("status=99", "wants a whole number from 200 to 599"),
    ("status=abc", "wants a whole number"), ("status=٥٠٠", "wants a whole number"),
    ("hang=1", "`hang` takes no value"), ("cut", "`cut` needs a value"), ("cut=-1", "wants a whole number"),
    ("status=500;status=501", "`status` is given twice"),
    ("malformed=all", "wants head, chunk, json or length"),
    ("retry-after=soon", "wants a whole number"), ("retry-after=s:1", "wants N, ms:N or date:N"),
    ("error", "`error` needs a value: error=CASE"), ("error=money", "wants rate, quota, billing, key,"),
    ("error-in-200=", "wants rate, quota"), ("error-event=1,", "wants rate, quota"),
    ("should-retry=no", "wants true or false"),
    ("error-event=quota", "wants a whole number"), ("limit-reset", "`limit-reset` needs a value"),
    ("drip=0", "from 1 to"), ("drip=1,", "wants a whole number"), ("body", "`body` needs a value"),
    ("location", "needs a value"), ("location=a\r\nb: c", "wants visible"), ("type=é", "wants visible"),
    ("terminal=none", "wants blank, tight, open, cr or crlf"), ("hold=soon", "wants a whole number"),
    ("latency=1.5", "wants a whole number"), ("latency=99999999999", "from 0 to 3600000"),
]


@pytest.mark.parametrize(("spec", "fault"), SPECS)
def test_specs(spec: str, fault: Fault) -> None:
    """A spec is a list of items in any order, with defaults where a bare name has one."""
    assert parse(spec) == fault


@pytest.mark.parametrize(("spec", "told"), WRONG)
def test_wrong_specs(spec: str, told: str) -> None:
    """A spec that is not in the language is refused, and the text says which item is wrong and why."""
    with pytest.raises(FaultError) as caught:
        parse(spec)
    assert told in str(caught.value)


def test_every_item_is_listed_and_used() -> None:
    """Every item of the table has a field of its own, a line in the list, and a spec in these tests."""
    assert {item.field for item in FAULTS} == {field.name for field in dataclasses.fields(Fault)}
    assert [line.split("  ")[0] for line in table().splitlines()] == [item.form for item in FAULTS]
    used = {field.name for _, fault in SPECS for field in dataclasses.fields(Fault)
            if getattr(fault, field.name) != field.default}
    assert used == {item.field for item in FAULTS}
