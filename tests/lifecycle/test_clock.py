"""The wall clock is stepped under a running gateway: what ends by time ends when it would have, and dates follow."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx2 as httpx
import orjson
import pytest

from tests.laws.sources import COMPILED, ROOT, files, relative
from tests.support.gateway import Gateway, configuration
from tests.support.looks import faults, figures
from tests.support.simulator import Simulator
from tests.support.talk import Answer, Talk, ask, chat, in_contract

CLOCK = Path(__file__).parents[1] / "support/clock.c"
YEAR = 365 * 86400.0
SOON = "sk-soon-0123456789abcdef"
Step = Callable[[float], None]


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clock's compiled form."""
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, CLOCK], check=True)
    return library


@pytest.fixture
def stepped(simulator: Simulator, clock: Path, tmp_path: Path) -> Iterator[tuple[Gateway, Step]]:
    """A gateway, and what sets its wall clock so many seconds off."""
    file = tmp_path / "step"
    file.write_bytes(struct.pack("d", 0.0))
    preload = " ".join(filter(None, [os.environ.get("LD_PRELOAD"), str(clock)]))
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + YEAR / 2))
    config = configuration(simulator.url, timeout=1.0, keys=[
        {"name": "test", "key": "env:TEST_KEY", "rate_limit": {"requests_per_second": 20, "burst_size": 5}},
        {"name": "soon", "key": "env:SOON_KEY", "expires": soon}])
    with Gateway(config, environ={"LD_PRELOAD": preload, "STEP_FILE": str(file), "SOON_KEY": SOON}) as edge:
        with file.open("r+b", buffering=0) as written:      # in place: a process that looks at an empty file dies
            yield edge, lambda seconds: os.pwrite(written.fileno(), struct.pack("d", seconds), 0) and None
        assert faults(edge) == []


def off(answer: Answer) -> float:
    """How far from our clock an answer's Date is."""
    return parsedate_to_datetime(answer.header("date") or "").timestamp() - time.time()


@pytest.mark.parametrize("step", [YEAR, -YEAR, 3600, -3600])
def test_a_step_of_the_wall_clock(stepped: tuple[Gateway, Step], step: float) -> None:
    """A step, either way, ends no stream early, hurries and delays no timeout, and mints and loses no request."""
    edge, set_off = stepped
    with Talk(edge.port) as stream, Talk(edge.port) as slow, Talk(edge.port) as kept:
        assert abs(off(kept.send(chat()).answer())) < 5
        stream.send(chat(stream=True, fault="tokens=10;stall=2,700"))
        slow.send(chat(fault="hang"))
        begun = time.monotonic()
        edge.wait(lambda: figures(edge)["in_flight"] == 2)
        set_off(step)
        in_contract(slow.answer(), "provider_timeout")
        assert 0.95 <= time.monotonic() - begun < 2
        answer = stream.answer()
        assert answer.status == 200 and answer.body.endswith(b"data: [DONE]\n\n")
        edge.wait(lambda: abs(off(kept.send(chat()).answer()) - step) < 5)
        time_is_up = time.monotonic() + 0.3         # the bucket is full again
        edge.wait(lambda: time.monotonic() > time_is_up)
        statuses = [kept.send(chat()).answer().status for _ in range(12)]
        assert statuses[:5] == [200] * 5 and 429 in statuses
        found = ask(edge.port, chat())
        assert abs(int(found.header("x-ratelimit-reset") or 0) - time.time() - step) < 5
    assert httpx.get(f"{edge.admin}/readyz").status_code == 200
    assert edge.metric("edge_worker_restarts_total") == 0


def test_keys_expire_by_the_wall_clock(stepped: tuple[Gateway, Step]) -> None:
    """A key's last day is one of the calendar: it comes with a step forward, and goes with one back."""
    edge, set_off = stepped
    with Talk(edge.port) as talk:
        assert talk.send(chat(key=SOON)).answer().status == 200
        set_off(YEAR)
        in_contract(talk.send(chat(key=SOON)).answer(), "key_expired")
        set_off(0)
        assert talk.send(chat(key=SOON)).answer().status == 200


def test_points_of_an_hour(stepped: tuple[Gateway, Step]) -> None:
    """What a key may spend in an hour is what is left of the hour that it is now, wherever the clock was meanwhile."""
    edge, set_off = stepped
    assert edge.reload({**orjson.loads(edge.file.read_bytes()), "store": "edge.db", "models": {"*": ["openai"]},
                        "prices": {"*": {"request": 10**6}}}).status_code == 200
    key = httpx.post(f"{edge.admin}/admin/keys", json={"name": "hourly", "points_per_hour": 1}).json()["secret"]

    def wait() -> int:
        return int(ask(edge.port, chat(key=key)).header("retry-after") or 0)
    assert wait() == 0 and 0 < wait() <= 3601
    for step in (YEAR, -YEAR, 7200.0):
        set_off(step)
        edge.wait(lambda: wait() == 0)
        assert 0 < wait() <= 3601
    set_off(0.0)
    edge.wait(lambda: 0 < wait() <= 3601)
    for _ in range(5):
        assert 0 < wait() <= 3601


# What may ask the wall clock, and for what: everything else is by CLOCK_MONOTONIC.
WALL = {
    "edge/_fast/gateway.pyx": ["the import of the clock below"],
    "edge/_fast/way/access.pxi": ["when a request of the access log ended"],
    "edge/_fast/way/admit.pxi": ["tenant.expires and tenant.hours"],
    "edge/_fast/way/cache.pxi": ["whether an answer that is kept still counts", "its age", "when it was made"],
    "edge/_fast/way/lines.pxi": ["Date"],
    "edge/_fast/way/switches.pxi": ["how long the maintenance still lasts"],
    "edge/_fast/way/ratelimit.pxi": ["when a limit is full again"],
    "edge/_fast/way/refuse.pxi": ["created_at of a response that breaks"],
    "edge/_fast/way/judge.pxi": ["a provider's Retry-After that is a date"],
    "edge/cli/fleet.py": ["since when Redis is away"],
    "edge/config/building/snapshot.py": ["when the configuration was read, for other hosts to compare"],
    "edge/control/app.py": ["Date"],
    "edge/control/cache.py": ["until when an answer that is put in counts"],
    "edge/control/maintenance.py": ["when the maintenance begins, and from when on its time counts"],
    "edge/values/switches.py": ["whether the maintenance is over"],
    "edge/control/process_metrics.py": ["when processes began"],
    "edge/_fast/way/points.pxi": ["until when a key's period lasts", "when a request that cost something ended"],
    "edge/control/points/clerk.py": ["which period it is", "how old what is not posted is",
                                     "which entries are kept no longer"],
    "edge/control/points/routes.py": ["when a credit was given", "which day it is"],
    "edge/control/keys/changes.py": ["when a key was changed", "until when its former secret works"],
    "edge/control/keys/routes.py": ["when a key was made"],
    "edge/control/parties/routes.py": ["when a party was made"],
    "edge/control/keys/show.py": ["whether its former secret still works"],
    "edge/store/sql.py": ["when an admin did something"],
    "edge/control/fleet/process.py": ["the clock's offset from Redis's", "how long it was away",
                                      "since when it answers", "since when it is away"],
}
ASKS = re.compile(r"\btime\(NULL\)|\btime\.time(?:_ns)?\(|\bdatetime\.now\(|\butcnow\(|CLOCK_REALTIME"
                  r"|formatdate\(usegmt")


def test_who_asks_the_wall_clock() -> None:
    """Nothing of the running gateway asks the wall clock but for what people and protocols date by it."""
    found: dict[str, int] = {}
    for path in files(".py", *COMPILED):
        if path.is_relative_to(ROOT / "edge") and not path.is_relative_to(ROOT / "edge/simulator"):
            found[relative(path)] = len(ASKS.findall(path.read_text()))
    assert {name: count for name, count in found.items() if count} == {name: len(uses) for name, uses in WALL.items()}
