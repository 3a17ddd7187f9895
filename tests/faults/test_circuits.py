"""Circuits at a running gateway: they open, let one probe out, come back slowly, and heed operators and checks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2 as httpx
import orjson
from click.testing import CliRunner

from edge.cli import main
from tests.faults.pair import Pair
from tests.support.gateway import PLAIN, Gateway
from tests.support.looks import figures
from tests.support.talk import Answer, Talk, chat, in_contract
from tests.support.talk import ask as send

FIRST = {"provider": "first-openai", "target": "first-openai/both"}
LONE = "first-openai/lone"
EQUAL = [{"provider": "first-openai", "priority": 0}, {"provider": "second-openai", "priority": 0}]
DEGRADED = ("second-openai/both", "fallback")


def breaker(**rules: Any) -> dict[str, Any]:
    """Settings under which two failures in a row open a circuit, for a minute unless said otherwise."""
    return {"failures": 2, "open_time": 60, **rules}


def ask(edge: Gateway, model: str = "both") -> Answer:
    """One request, on a connection of its own, and so at whichever worker."""
    return send(edge.port, chat(model))


def way(answer: Answer) -> tuple[str | None, str | None]:
    """The target that answered, and whether that is second best."""
    assert answer.status == 200
    return answer.header("x-edge-target"), answer.header("x-edge-degraded")


def trip(pair: Pair, edge: Gateway, model: str = "both") -> None:
    """Two failures of the first."""
    pair.first.fault("status=500", times=2, model=model)
    for _ in range(2):
        ask(edge, model)


def state(edge: Gateway, target: str = FIRST["target"]) -> dict[str, Any]:
    """How a target is."""
    found: dict[str, Any] = next(each for each in figures(edge)["targets"] if each["target"] == target)
    return found


def say(edge: Gateway, word: str, target: str = FIRST["target"]) -> dict[str, Any]:
    """An operator's word."""
    answer = httpx.post(f"{edge.admin}/admin/circuits", json={"target": target, "state": word}, **PLAIN)
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def configured(edge: Gateway) -> dict[str, Any]:
    """What its file says."""
    found: dict[str, Any] = orjson.loads(edge.file.read_bytes())
    return found


def test_failures_open_a_circuit(pair: Pair) -> None:
    """A target that fails is left alone by all workers, and metrics, /stats, the log and each answer say so."""
    edge = pair.edge(workers=2, circuit_breaker=breaker())
    trip(pair, edge)
    assert pair.calls() == (2, 2)
    for _ in range(12):
        found = ask(edge)
        assert way(found) == DEGRADED
        assert found.header("x-edge-attempts") is None
    assert pair.calls() == (2, 14)
    assert edge.metric("edge_circuit_state", **FIRST) == 2
    assert edge.metric("edge_circuit_opened_total", **FIRST) == 1
    assert edge.metric("edge_circuit_shut_out_total", **FIRST) == 12
    assert edge.metric("edge_attempt_failures_total", condition="provider_error", **FIRST) == 2
    assert edge.metric("edge_circuit_state", provider="second-openai") == 0
    assert state(edge)["state"] == "open"
    assert 40 < state(edge)["open_for"] <= 75
    lines = [line for line in edge.log_lines() if line["message"] == "circuit opened"]
    assert [(line["target"], line["condition"]) for line in lines] == [(FIRST["target"], "provider_error")]


def test_one_probe_over_all_workers(pair: Pair) -> None:
    """A half-open target gets one request, however many come to however many workers, until that one is answered."""
    edge = pair.edge(workers=4, circuit_breaker=breaker(open_time=0.3, ramp=0))
    trip(pair, edge)
    pair.first.fault("latency=1500", times=1)
    edge.wait(lambda: state(edge)["state"] == "half-open")
    with ThreadPoolExecutor(8) as threads:
        answers = [way(each) for each in threads.map(lambda _: ask(edge), range(80))]
    probe, *later = pair.first.requests()[2:]
    assert all(each["at"] >= probe["ended"] for each in later)
    assert sum(probe["at"] < each["at"] < probe["ended"] for each in pair.second.requests()) >= 20
    assert answers.count((FIRST["target"], None)) == 1 + len(later)
    assert answers.count(DEGRADED) == 79 - len(later)
    assert edge.metric("edge_circuit_probes_total", **FIRST) == 1
    assert way(ask(edge)) == (FIRST["target"], None)
    assert edge.metric("edge_circuit_state", **FIRST) == 0
    assert sum(line["message"] == "circuit closed" for line in edge.log_lines()) == 1


def test_failed_probe_opens_for_longer(pair: Pair) -> None:
    """A probe that fails costs its client nothing, and the circuit opens for twice the time, give or take a quarter."""
    edge = pair.edge(circuit_breaker=breaker(open_time=0.4))
    trip(pair, edge)
    pair.first.fault("status=503", times=1)
    edge.wait(lambda: state(edge)["state"] == "half-open")
    assert way(ask(edge)) == DEGRADED
    found = state(edge)
    assert (found["state"], found["opened"], found["probes"]) == ("open", 2, 1)
    assert 0.4 < found["open_for"] <= 1.0
    edge.wait(lambda: way(ask(edge)) == (FIRST["target"], None))
    assert state(edge)["state"] == "closed"


def test_a_leaving_client_leaves_no_probe_behind(pair: Pair) -> None:
    """The probe of a client that has left is the next request's."""
    edge = pair.edge(workers=2, circuit_breaker=breaker(open_time=0.3))
    trip(pair, edge)
    pair.first.fault("hang", times=1)
    edge.wait(lambda: state(edge)["state"] == "half-open")
    with Talk(edge.port) as talk:
        talk.send(chat("both"))
        pair.first.wait_for(lambda found: found["requests"] == 3)
        assert way(ask(edge)) == DEGRADED
    pair.first.wait_for(lambda found: found["cancelled"])
    assert edge.metric("edge_circuit_state", **FIRST) == 1
    assert way(ask(edge)) == (FIRST["target"], None)
    assert edge.metric("edge_circuit_probes_total", **FIRST) == 2


def test_a_probe_that_finds_no_room_is_another_ones(pair: Pair) -> None:
    """A probe for which its provider has no connection goes elsewhere, and the next request probes in its stead."""
    edge = pair.edge(provider={"max_connections": 1}, queue={"queue_size": 0}, circuit_breaker=breaker(open_time=0.3))
    trip(pair, edge)
    pair.first.fault("hang", times=1, model="lone")
    edge.wait(lambda: state(edge)["state"] == "half-open")
    with Talk(edge.port) as talk:
        talk.send(chat("lone"))
        pair.first.wait_for(lambda found: found["requests"] == 3)
        assert way(ask(edge)) == DEGRADED
    pair.first.wait_for(lambda found: found["cancelled"])
    assert way(ask(edge)) == (FIRST["target"], None)
    assert state(edge)["probes"] == 2


def test_a_retry_does_not_pass_by_an_open_circuit(pair: Pair) -> None:
    """A request that pauses before its next attempt meets the circuit as it is then, as any other does."""
    edge = pair.edge(retry={"backoff": 1}, circuit_breaker=breaker(all_open="refuse"))
    pair.first.fault("status=503", times=3, model="lone")
    with Talk(edge.port) as talk:
        talk.send(chat("lone"))
        edge.wait(lambda: any(line["message"] == "attempt failed" for line in edge.log_lines()))
        ask(edge, "lone")
        assert state(edge, LONE)["state"] == "open"
        in_contract(talk.answer(), "circuit_open", status=503)
    assert pair.calls() == (2, 0)


def test_a_target_returns_gradually(pair: Pair) -> None:
    """A target that has come back among equals gets a small share at first, and its whole one after the ramp."""
    edge = pair.edge(models={"both": EQUAL}, circuit_breaker=breaker(open_time=0.3, ramp=1000))
    pair.first.fault("status=500", times=2)
    edge.wait(lambda: ask(edge).status == 200 and state(edge)["opened"])
    edge.wait(lambda: ask(edge).status == 200 and state(edge)["state"] == "closed")

    def share() -> int:
        before = pair.calls()[0]
        with Talk(edge.port) as talk:
            for _ in range(100):
                assert talk.send(chat("both")).answer().status == 200
        return pair.calls()[0] - before

    assert share() <= 25                    # 9, and five deviations of chance
    config = configured(edge)
    assert edge.reload({**config, "circuit_breaker": breaker(ramp=0)}).status_code == 200
    assert 25 <= share() <= 75              # 50, likewise


def test_a_lone_target_is_not_shut_out(pair: Pair) -> None:
    """Where there is no other target an open circuit lets requests pass, and the first good answer closes it."""
    edge = pair.edge(retry={"max": 0}, circuit_breaker=breaker())
    trip(pair, edge, "lone")
    assert state(edge, LONE)["state"] == "open"
    assert way(ask(edge, "lone")) == (LONE, None)
    assert state(edge, LONE)["state"] == "closed"


def test_a_lone_target_is_shut_out_at_an_operators_wish(pair: Pair) -> None:
    """With `all_open: refuse` an open circuit answers 503 with the time at which it is worth a try, and asks nobody."""
    edge = pair.edge(workers=2, retry={"max": 0}, circuit_breaker=breaker(all_open="refuse"))
    trip(pair, edge, "lone")
    for _ in range(6):
        found = ask(edge, "lone")
        in_contract(found, "circuit_open", status=503)
        assert 40 < int(found.header("retry-after") or 0) <= 76
    assert pair.calls() == (2, 0)


def test_an_operator_is_heeded_at_once(pair: Pair) -> None:
    """Open takes a target out at every worker with the next request, closed puts it in whatever it does, auto frees."""
    edge = pair.edge(workers=4, circuit_breaker=breaker())
    assert say(edge, "open")["state"] == "open"
    assert {way(ask(edge)) for _ in range(20)} == {DEGRADED}
    assert edge.metric("edge_circuit_forced", state="open", **FIRST) == 1
    assert edge.reload().status_code == 200
    assert way(ask(edge)) == DEGRADED
    assert say(edge, "closed")["state"] == "closed"
    pair.first.fault("status=500", times=6)
    assert {way(ask(edge)) for _ in range(6)} == {DEGRADED}
    assert {way(ask(edge)) for _ in range(6)} == {(FIRST["target"], None)}
    assert pair.calls()[0] == 12
    assert say(edge, "auto")["forced"] == "auto"
    assert any(line["message"] == "circuit forced" and line["state"] == "auto" for line in edge.log_lines())


def test_an_operators_word_takes_the_last_target_out(pair: Pair) -> None:
    """A lone target that an operator has taken out is not asked, and serves again with the word taken back."""
    edge = pair.edge()
    say(edge, "open", LONE)
    in_contract(ask(edge, "lone"), "circuit_open", status=503)
    say(edge, "auto", LONE)
    assert way(ask(edge, "lone")) == (LONE, None)
    assert pair.calls() == (1, 0)


def test_what_a_reload_forgets(pair: Pair) -> None:
    """New keys of a provider do not rest for what the old ones did, and no circuit stays open once breakers are off."""
    edge = pair.edge(retry={"max": 0}, circuit_breaker=breaker())
    pair.first.fault("error=key", key="sk-provider", times=1)
    ask(edge)
    rest = {"provider": "first-openai", "target": "first-openai/both", "key": "1"}
    assert 50 < edge.metric("edge_provider_key_benched_seconds", **rest) <= 60
    trip(pair, edge, "lone")
    assert state(edge, LONE)["state"] == "open"
    config = configured(edge)
    assert edge.reload().status_code == 200
    assert edge.metric("edge_provider_key_benched_seconds", **rest) > 0
    config["providers"]["first-openai"]["keys"] = ["env:TEST_KEY"]
    assert edge.reload({**config, "circuit_breaker": {"enabled": False}}).status_code == 200
    assert edge.metric("edge_provider_key_benched_seconds", **rest) == 0
    assert edge.metric("edge_circuit_state") == 0
    assert way(ask(edge)) == (FIRST["target"], None)


def test_a_late_word_on_an_old_key(pair: Pair) -> None:
    """A rejection of a key that was replaced while the request was under way says nothing of the new one."""
    edge = pair.edge(retry={"max": 0}, workers=2)
    pair.first.fault("error=key;latency=1000", key="sk-provider")
    config = configured(edge)
    config["providers"]["first-openai"]["keys"] = ["env:TEST_KEY"]
    with Talk(edge.port) as talk:
        talk.send(chat("both"))
        pair.first.wait_for(lambda found: found["requests"] == 1)
        assert edge.reload(config).status_code == 200
        assert talk.answer().status == 502
    assert edge.metric("edge_attempt_failures_total", condition="provider_auth", **FIRST) == 1
    assert edge.metric("edge_provider_key_benched_seconds") == 0
    assert way(ask(edge)) == (FIRST["target"], None)


def test_health_checks_take_a_provider_out(pair: Pair) -> None:
    """A provider whose checks fail gets no request until they succeed, at any worker, and metrics say why."""
    check = {"path": "/models", "interval": 0.1, "unhealthy": 2, "healthy": 1}
    edge = pair.edge(workers=2, provider={"health_check": check})
    pair.first.fault("status=503", path="/v1/models")
    edge.wait(lambda: edge.metric("edge_target_ailing", **FIRST))
    assert {way(ask(edge)) for _ in range(10)} == {DEGRADED}
    assert (state(edge)["state"], state(edge)["ailing"]) == ("open", True)
    pair.first.reset()
    edge.wait(lambda: not edge.metric("edge_target_ailing", **FIRST))
    assert {way(ask(edge)) for _ in range(10)} == {(FIRST["target"], None)}


def command(*arguments: str) -> tuple[int, str]:
    """`edge circuits`: exit code, and what it wrote."""
    done = CliRunner().invoke(main, ["circuits", *arguments])
    return done.exit_code, done.output


def test_circuits_on_the_command_line(pair: Pair) -> None:
    """`edge circuits` lists the targets and passes an operator's word on; what is wrong is told with exit code 1."""
    edge = pair.edge(admin={"port": 0, "key": "env:TEST_KEY"})
    there = ["--admin", edge.admin, "--key", edge.environ["TEST_KEY"]]
    code, text = command(*there)
    assert code == 0
    models = ("first-openai/lone", "first-anthropic/lone", "first-openai/both", "second-openai/both",
              "first-anthropic/both", "second-anthropic/both")
    assert {line.split()[0]: line.split()[1] for line in text.splitlines()[1:]} == dict.fromkeys(
        (*configured(edge)["providers"], *models), "closed")
    for word, seen in (("open", "open"), ("close", "closed"), ("auto", "closed")):
        code, text = command(word, FIRST["target"], *there)
        assert code == 0
        assert text.splitlines()[1].split()[:2] == [FIRST["target"], seen]
        assert ("operator" in text) == (word != "auto")
    assert command("open", "first-openai/bath", *there)[0] == 1
    assert "first-openai/both" in command("open", "first-openai/bath", *there)[1]
    assert command("--admin", edge.admin)[0] == 1
    assert command("open", *there)[0] == 2
    assert command("--admin", edge.url)[0] == 1
    assert command("--admin", "http://127.0.0.1:9")[0] == 1
    assert command("--admin", "file:///etc")[0] == 2
