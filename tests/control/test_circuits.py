"""Circuits over the admin API: what is shown, what an operator may say, and what health checks have said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from edge._fast import Condition, Healths, monotonic
from edge.control import circuits
from edge.control.state import State
from edge.values.snapshot import HealthCheck, Model, Provider, Target
from tests.control.running import Answer, Running, make_snapshot
from tests.control.test_api import in_contract

Start = Callable[..., Running]
NAMES = ["first", "second", "first/gpt-5", "second/claude-*"]
CHECKED = (Provider("first", "openai", "http://127.0.0.1:9/v1", health_check=HealthCheck("/models", interval=3600)),
           Provider("second", "anthropic", "https://second.test"))


def say(running: Running, **said: Any) -> Answer:
    """POST /admin/circuits."""
    return running.ask("/admin/circuits", "POST", orjson.dumps(said))


def states(running: Running) -> dict[str, str]:
    """The state of each target."""
    return {circuit["target"]: circuit["state"] for circuit in running.ask("/admin/circuits").json["circuits"]}


def test_all_targets_are_listed_as_in_stats(start: Start) -> None:
    """GET gives every configured target once, with all that is known of it, and /stats the same and the load."""
    running = start()
    gpt = running.registry.target("first", "gpt-5")
    healths = Healths(running.slab)
    healths.bench(gpt, 0, monotonic() + 60 * 10**9)
    healths.count(gpt, Condition.provider_error)
    running.slab.carry(0, running.registry.pool("first"), (1, 2, 3, 4))
    found = running.ask("/admin/circuits").json["circuits"]
    assert [circuit["target"] for circuit in found] == NAMES
    benched = found[2].pop("benched")
    assert list(benched) == ["1"] and 0 < benched["1"] <= 60
    assert found[2] == {
        "target": "first/gpt-5", "provider": "first", "state": "closed", "open_for": 0.0, "forced": "auto",
        "ailing": False, "failures": 0, "opened": 0, "probes": 0, "shut_out": 0, "failed": {"provider_error": 1}}
    shown = running.ask("/stats").json
    assert [target["target"] for target in shown["targets"]] == NAMES
    assert shown["providers"] == [
        {"provider": "first", "active": 1, "waiting": 2, "limit": 3, "refused": 4},
        {"provider": "second", "active": 0, "waiting": 0, "limit": 0, "refused": 0}]


def test_operator_takes_targets_out_and_back(start: Start) -> None:
    """Each word is in force at once, is answered with the target's new state, and touches no other target."""
    running = start()
    for word, state in (("open", "open"), ("closed", "closed"), ("open", "open"), ("auto", "closed")):
        answer = say(running, target="first/gpt-5", state=word)
        assert (answer.status, answer.json["state"], answer.json["forced"]) == (200, state, word)
        assert Healths(running.slab).total(running.registry.target("first", "gpt-5")).forced == word
        assert states(running) == {**dict.fromkeys(NAMES, "closed"), "first/gpt-5": state}
    assert say(running, target="second", state="open").json["target"] == "second"
    assert states(running)["second"] == "open"


def test_word_outlives_a_reload(start: Start) -> None:
    """A new version of the configuration leaves an operator's word as it is."""
    running = start()
    say(running, target="first/gpt-5", state="open")
    running.registry.plan(snapshot := make_snapshot(version=2))
    send_version(running, snapshot)
    assert states(running)["first/gpt-5"] == "open"


@pytest.mark.parametrize(("body", "condition", "words"), [
    (b"", "json_invalid", "parse the JSON"),
    (b"{", "json_invalid", "parse the JSON"),
    (b'{"target": "first/gpt-5"}', "field_missing", "'state'"),
    (b'{"state": "open"}', "field_missing", "'target'"),
    (b'{"target": "first/gpt-5", "state": "opne"}', "field_value", "among open, closed and auto, but got opne"),
    (b'{"target": "first/gpt-5", "state": null}', "field_value", "'state'"),
    (b'{"target": 5, "state": "open"}', "field_type", "'target': expected a string"),
    (b'{"target": "first/gpt-5", "state": "open", "for": 60}', "field_value", "'for'"),
    (b"[]", "field_type", "'body': expected a JSON object, but got array"),
    *((b'{"target": %b, "state": "open"}' % value, "field_type", f"got {kind}") for value, kind in (
        (b"null", "null"), (b"true", "boolean"), (b"1.5", "number"), (b"[]", "array"), (b"{}", "object"))),
    (b'{"target": "first/gtp-5", "state": "open"}', "field_value", "such as first/gpt-5"),
    (b'{"target": "gpt-5\\"\\n", "state": "open"}', "field_value", "first/gpt-5"),
    (b'{"target": "first/", "state": "open"}', "field_value", "first"),
    (b'{"target": "%b", "state": "open"}' % (b"x" * 1000), "field_value", "x..."),
    (b" " * 100_000, "body_too_large", "65536")])
def test_wrong_words_are_refused_in_contract(start: Start, body: bytes, condition: str, words: str) -> None:
    """What is no order is refused with its field and the way out, and changes nothing."""
    running = start()
    answer = running.ask("/admin/circuits", "POST", body)
    error = in_contract(answer, 413 if condition == "body_too_large" else 400, condition)
    assert words in error["message"]
    assert set(states(running).values()) == {"closed"}


def test_health_checks_take_a_provider_out(start: Start) -> None:
    """A provider's verdict is that of all its targets, and of no other's."""
    running = start()
    state = State.of(running.slab, running.registry, running.snapshot)
    circuits.mark(state, "first", False)
    assert states(running) == {"first": "open", "first/gpt-5": "open", "second": "closed", "second/claude-*": "closed"}
    circuits.mark(state, "first", True)
    assert set(states(running).values()) == {"closed"}


def test_provider_that_is_not_checked_any_more_is_well(start: Start) -> None:
    """New targets of an ailing provider are out with it, and without its check none is."""
    running = start(providers=CHECKED)
    circuits.mark(State.of(running.slab, running.registry, running.snapshot), "first", False)
    models = (Model("gpt-5", (Target("first"),)), Model("gpt-6", (Target("first"), Target("second"))))
    for version, providers, state in ((2, CHECKED, "open"), (3, make_snapshot().providers, "closed")):
        snapshot = make_snapshot(version=version, models=models, providers=providers)
        running.registry.plan(snapshot)
        send_version(running, snapshot)
        assert states(running) == {"first": state, "first/gpt-5": state, "first/gpt-6": state,
                                   "second": "closed", "second/gpt-6": "closed"}


def send_version(running: Running, snapshot: Any) -> None:
    """The supervisor says that this version is in force."""
    running.take_over(snapshot)
