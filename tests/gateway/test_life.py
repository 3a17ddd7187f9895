"""A request's life: every row of the table of its states is taken on a running gateway, and every end counts once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

import httpx2 as httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from edge._fast import STATES, TRANSITIONS, VERDICTS, Condition
from tests.gateway import client
from tests.gateway.client import PATHS, ask, post, read, receive
from tests.gateway.parties import bearer, call, key_with
from tests.gateway.script import Script, answer, completion, stream_head
from tests.gateway.test_contracts import BODY_BYTES, CASES, QUEUE
from tests.gateway.test_rows import DEEDS
from tests.simulator.wire import Wire
from tests.support.gateway import PLAIN, Gateway
from tests.support.simulator import Simulator

TLS_ALERT = bytes.fromhex("15030100020246")     # what a port that speaks TLS says to plain HTTP
# No request ends with these: they are of a reload, and of the admin API.
OF_NO_REQUEST = {"config_invalid", "config_missing_field", "config_value", "disk_full", "setting_invalid",
                 "resource_missing", "resource_conflict", "settings_conflict", "key_rotation_pending",
                 "store_unavailable"}


class Stage(NamedTuple):
    """What a walk has at hand."""

    gateway: Gateway
    simulator: Simulator
    script: Script


class Life(NamedTuple):
    """One request: the verdicts that its stages give, and the condition that it ends with."""

    verdicts: str
    condition: str

    def rows(self) -> list[tuple[str, str]]:
        """The rows of the table that it takes; KeyError where there is no such row."""
        state, taken = STATES[0], []
        for verdict in self.verdicts.split():
            taken.append((state, verdict))
            state = TRANSITIONS[state, verdict]
        assert state == "ended", f"{self.verdicts}: {state}"
        return taken

    @property
    def answered(self) -> bool:
        """Whether its last attempt had a head of an answer, which the metrics tell."""
        return "head" in self.verdicts.replace("pause", "retry").rpartition("retry")[2].split()


GOOD = Life("admitted connected head good done", "ok")


def answered(stage: Stage) -> None:
    """A good answer."""
    assert ask(stage.gateway.port, post("openai")).status == 200


def answered_here(stage: Stage) -> None:
    """A route of the gateway's own."""
    assert ask(stage.gateway.port, client.request(path="/health", method="GET")).status == 200


def refused(stage: Stage) -> None:
    """A body that is no JSON."""
    assert ask(stage.gateway.port, client.request(b"{", path=PATHS["openai"])).status == 400


def left_half_sent(stage: Stage) -> None:
    """A client that leaves between head and body."""
    with Wire(stage.gateway.port) as wire:
        receive(wire.send(post("openai", headers={"expect": "100-continue"}).partition(b"{")[0]), b"100 Continue")


def another_target(stage: Stage) -> None:
    """A target without a connection, and one that has one."""
    found = ask(stage.gateway.port, post("openai", model="elsewhere"))
    assert (found.status, found.fields["x-edge-attempts"]) == (200, "2")


def no_target(stage: Stage) -> None:
    """A target that has no connection to be had, not even later."""
    found = ask(stage.gateway.port, post("openai", model="closed"))
    assert (found.status, found.fields["x-edge-attempts"]) == (502, "2")


def left_in_the_queue(stage: Stage) -> None:
    """A client that leaves while it waits for a connection, and then the one that has it."""
    gateway = stage.gateway
    with Wire(gateway.port) as taker:
        receive(taker.send(post("openai", model="narrow", stream=True, spec="stall=4")), b"data: ")
        with Wire(gateway.port) as wire:
            wire.send(post("openai", model="narrow"))
            gateway.wait(lambda: gateway.metric("edge_provider_waiting", provider="narrow") == 1)
        gateway.wait(lambda: gateway.metric("edge_provider_waiting", provider="narrow") == 0)


def wrong_place(stage: Stage) -> None:
    """A target that is no provider, which is known as soon as it speaks, and one that is."""
    with Wire(stage.gateway.port) as wire:
        wire.send(post("openai", model="astray"))
        meeting = stage.script.meet()
        meeting.asked()
        meeting.send(TLS_ALERT)
        found = read(wire.answer())
    assert (found.status, found.fields["x-edge-attempts"]) == (200, "2")


def closing_connection(stage: Stage) -> None:
    """A kept connection that closes as the next request comes: it is sent once more, as nobody has read it."""
    with Wire(stage.gateway.port) as wire:
        wire.send(post("openai", model="kept"))
        meeting = stage.script.meet()
        for again in (False, True):
            meeting.asked()
            meeting.send(answer(completion()))
            found = read(wire.answer())
            assert found.status == 200 and "x-edge-attempts" not in found.fields
            if not again:
                wire.send(post("openai", model="kept"))
                meeting.asked()
                meeting.close()
                meeting = stage.script.meet()


def no_answer(stage: Stage) -> None:
    """A provider that closes in place of an answer."""
    assert ask(stage.gateway.port, post("openai", spec="cut=0")).status == 502


def late_answer(stage: Stage) -> None:
    """A provider that does not answer in time."""
    assert ask(stage.gateway.port, post("openai", model="hasty-1", stream=True, spec="hang")).status == 504


def left_before_the_head(stage: Stage) -> None:
    """A client that leaves when the provider has its request."""
    with Wire(stage.gateway.port) as wire:
        wire.send(post("openai", model="scripted"))
        stage.script.meet().asked()


def another_attempt(stage: Stage) -> None:
    """An error that is over a moment later."""
    stage.simulator.fault("status=503", times=1, model="sim-moment")
    found = ask(stage.gateway.port, post("openai", model="sim-moment"))
    assert (found.status, found.fields["x-edge-attempts"]) == (200, "2")


def better_target(stage: Stage) -> None:
    """An error of one target, and another one that works."""
    stage.simulator.fault("status=503", times=1, model="sim-first")
    found = ask(stage.gateway.port, post("openai", model="either"))
    assert (found.status, found.fields["x-edge-attempts"]) == (200, "2")


def pausing(stage: Stage) -> Wire:
    """A client whose request is to be sent again in a second."""
    stage.simulator.fault("status=503;retry-after=1", times=1, model="sim-moment")
    wire = Wire(stage.gateway.port)
    wire.send(post("openai", model="sim-moment"))
    stage.gateway.wait(lambda: stage.gateway.metric("edge_retries_in_flight") == 1)
    return wire


def left_in_the_pause(stage: Stage) -> None:
    """A client that leaves before the next attempt."""
    with pausing(stage):
        pass


def taken_out_in_the_pause(stage: Stage) -> None:
    """An operator who takes the target out before the next attempt."""
    def say(word: str) -> None:
        target = {"target": "sim/sim-moment", "state": word}
        assert httpx.post(f"{stage.gateway.admin}/admin/circuits", json=target, **PLAIN).status_code == 200
    with pausing(stage) as wire:
        say("open")
        assert read(wire.answer()).fields["x-edge-condition"] == "circuit_open"
    say("auto")


def bad_answer(stage: Stage) -> None:
    """An answer that breaks off, held to its end."""
    assert ask(stage.gateway.port, post("openai", spec="malformed=json")).status == 502


def left_before_a_byte(stage: Stage) -> None:
    """A client that leaves between the answer's head and its first event."""
    with Wire(stage.gateway.port) as wire:
        wire.send(post("openai", model="scripted", stream=True))
        meeting = stage.script.meet()
        meeting.asked()
        meeting.send(stream_head())


def rejected(stage: Stage) -> None:
    """A provider's own words about the client's mistake are an answer, too."""
    spec = 'status=400;body={"error":{"message":"no such thing"}}'
    assert ask(stage.gateway.port, post("openai", spec=spec)).status == 400


def cut_stream(stage: Stage) -> None:
    """A stream that breaks off."""
    found = ask(stage.gateway.port, post("openai", stream=True, spec="tokens=99;cut=4000"))
    assert found.status == 200 and b"event: error" in found.body


def stalled_stream(stage: Stage) -> None:
    """A stream that falls silent."""
    found = ask(stage.gateway.port, post("openai", model="hasty-1", stream=True, spec="stall=4"))
    assert found.status == 200 and b"event: error" in found.body


def left_in_the_stream(stage: Stage) -> None:
    """A client that leaves with half of an answer."""
    with Wire(stage.gateway.port) as wire:
        receive(wire.send(post("openai", stream=True, spec="stall=4")), b"data: ")


def asks_as_another(stage: Stage, *, last: bytes, leave: bool = False) -> None:
    """Two clients that ask for the same at once; the second, which awaits the first one's answer, may leave."""
    body = post("openai", model="scripted", headers={"x-edge-cache": "use"})
    before = stage.gateway.metric("edge_requests_in_flight")
    with Wire(stage.gateway.port) as first, Wire(stage.gateway.port) as second:
        first.send(body)
        meeting = stage.script.meet()
        meeting.asked()
        second.send(body)
        stage.gateway.wait(lambda: stage.gateway.metric("edge_requests_in_flight") == before + 2)
        if leave:
            second.socket.close()
            stage.gateway.wait(lambda: stage.gateway.metric("edge_requests_in_flight") == before + 1)
        meeting.send(last)
        assert first.answer().complete
        if not leave and not last.startswith(b"HTTP/1.1 200"):
            meeting = stage.script.meet()
            meeting.asked()
            meeting.send(last)
        if not leave:
            assert second.answer().complete
    call(stage.gateway, "DELETE", "cache")


def follows(stage: Stage) -> None:
    """A request for what another one is about to get."""
    asks_as_another(stage, last=answer(completion()))


def follows_a_failure(stage: Stage) -> None:
    """One whose leader is refused asks for itself."""
    asks_as_another(stage, last=answer(b'{"error":{"message":"no"}}', status="400 Bad Request"))


def left_behind_another(stage: Stage) -> None:
    """A client that leaves while it awaits another one's answer."""
    asks_as_another(stage, last=answer(completion()), leave=True)


def refused_behind_another(stage: Stage) -> None:
    """A key that is frozen while its request awaits another one's answer."""
    headers = {"x-edge-cache": "use", **bearer(key_with(stage.gateway, name="f"))}
    body = post("openai", model="scripted", headers=headers)
    with Wire(stage.gateway.port) as first, Wire(stage.gateway.port) as second:
        first.send(body)
        meeting = stage.script.meet()
        meeting.asked()
        second.send(body)
        stage.gateway.wait(lambda: stage.gateway.metric("edge_requests_in_flight") == 2)
        call(stage.gateway, "POST", "keys/f/freeze")
        assert read(second.answer()).fields["x-edge-condition"] == "key_frozen"
        meeting.send(answer(completion()))
        assert read(first.answer()).status == 200


RELAYING_LEFT = Life("admitted connected head good left", "client_closed")
WALKS: dict[Callable[[Stage], None], tuple[Life, ...]] = {
    answered: (GOOD,),
    answered_here: (Life("done", "ok"),),
    refused: (Life("refused", "json_invalid"),),
    left_half_sent: (Life("left", "client_closed"),),
    another_target: (Life("admitted retry connected head good done", "ok"),),
    no_target: (Life("admitted pause resumed refused", "provider_unreachable"),),
    left_in_the_queue: (Life("admitted left", "client_closed"), RELAYING_LEFT),
    wrong_place: (Life("admitted connected retry connected head good done", "ok"),),
    closing_connection: (GOOD, Life("admitted connected redial connected head good done", "ok")),
    no_answer: (Life("admitted connected refused", "provider_disconnected"),),
    late_answer: (Life("admitted connected refused", "provider_timeout"),),
    left_before_the_head: (Life("admitted connected left", "client_closed"),),
    another_attempt: (Life("admitted connected head pause resumed connected head good done", "ok"),),
    better_target: (Life("admitted connected head retry connected head good done", "ok"),),
    left_in_the_pause: (Life("admitted connected head pause left", "client_closed"),),
    taken_out_in_the_pause: (Life("admitted connected head pause refused", "circuit_open"),),
    bad_answer: (Life("admitted connected head refused", "provider_response_invalid"),),
    left_before_a_byte: (Life("admitted connected head left", "client_closed"),),
    rejected: (Life("admitted connected head good done", "provider_rejected"),),
    cut_stream: (Life("admitted connected head good broken", "provider_cut"),),
    stalled_stream: (Life("admitted connected head good broken", "provider_stalled"),),
    left_in_the_stream: (RELAYING_LEFT,),
    follows: (GOOD, Life("follow done", "ok")),
    follows_a_failure: (Life("admitted connected head good done", "provider_rejected"),
                        Life("follow admitted connected head good done", "provider_rejected")),
    left_behind_another: (GOOD, Life("follow left", "client_closed")),
    refused_behind_another: (GOOD, Life("follow refused", "key_frozen")),
}


class Figures(NamedTuple):
    """What the gateway has counted: requests by condition and answers' heads; and what is held, which passes."""

    ended: Counter[str]
    heads: int
    held: int


def figures(gateway: Gateway) -> Figures:
    """One scrape."""
    ended: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for family in parse(httpx.get(f"{gateway.admin}/metrics", **PLAIN).text):
        for sample in family.samples:
            if sample.name == "edge_requests_total":
                ended[sample.labels["condition"]] += int(sample.value)
            else:
                others[sample.name] += int(sample.value)
    held = ("edge_requests_in_flight", "edge_provider_active", "edge_provider_waiting")
    return Figures(ended, others["edge_time_to_first_byte_seconds_count"], sum(others[name] for name in held))


def come_to(gateway: Gateway, ended: Counter[str]) -> Figures:
    """Waits until these requests have ended, and no others, and nothing is held any more."""
    return gateway.wait(lambda: (now if (now := figures(gateway)).ended == ended and now.held == 0 else None))


@pytest.fixture(scope="module")
def walking(configure: Callable[..., dict[str, Any]], environ: dict[str, str]) -> Iterator[Gateway]:
    """A gateway that tries twice, without a pause, and whatever has failed before."""
    config = configure(retry={"max": 1, "backoff": 0, "budget": 1}, circuit_breaker={"enabled": False},
                       cache_max_size="1MB", store="edge.db")
    config["providers"]["kept"] = {**config["providers"]["scripted"], "max_idle": 1}
    config["models"] |= {"elsewhere": ["closed", "sim"], "astray": ["scripted", "sim"], "kept": "kept",
                         "either": ["sim/sim-first", "sim/sim-second"], "sim-moment": "sim/sim-moment"}
    with Gateway(config, environ=environ) as gateway:
        yield gateway


def test_every_row_is_walked() -> None:
    """The walks of this file take every row of the table, and there is no way out of `ended`."""
    shared = {row for row in TRANSITIONS if "draw" in row[1] or row[0] == "drawing"}        # walked in tests/fleet
    assert {row for lives in WALKS.values() for life in lives for row in life.rows()} == set(TRANSITIONS) - shared
    assert set(TRANSITIONS) <= set(product(STATES[:-1], VERDICTS))
    assert {verdict for _, verdict in TRANSITIONS} == set(VERDICTS)


@pytest.mark.parametrize("deed", WALKS, ids=lambda deed: deed.__name__)
def test_walks(walking: Gateway, simulator: Simulator, script: Script, deed: Callable[[Stage], None]) -> None:
    """Whatever a request meets it ends once, as it should, and gives back its slots and its place."""
    lives = WALKS[deed]
    before = figures(walking)
    deed(Stage(walking, simulator, script))
    after = come_to(walking, before.ended + Counter(life.condition for life in lives))
    assert after.heads == before.heads + sum(life.answered for life in lives)
    assert "Traceback" not in walking.log()


def test_every_condition_ends_a_request(start: Callable[..., Gateway], serving: Callable[..., Gateway]) -> None:
    """Each condition that a request can end with is met, and counted once."""
    gateway = serving(contract="openai", limits={"body_bytes": BODY_BYTES}, queue={"queue_size": QUEUE})
    met = {life.condition for lives in WALKS.values() for life in lives}
    for name, case in CASES.items():
        before = figures(gateway).ended
        assert ask(gateway.port, case.send("openai")).fields["x-edge-condition"] == name
        come_to(gateway, before + Counter([name]))
        met.add(name)
    for deed in DEEDS.values():
        met.add(deed(start, serving, contract="openai")[0].fields["x-edge-condition"])
    assert met == {condition.name for condition in Condition} - OF_NO_REQUEST
