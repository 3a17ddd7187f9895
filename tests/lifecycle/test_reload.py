"""A new configuration comes into force whole and everywhere, or not at all; requests on their way notice nothing."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
from typing import Any

import httpx2 as httpx
import pytest

from tests.support.gateway import KEY, Gateway, configuration
from tests.support.looks import at_rest, descriptors, faults, figures
from tests.support.provider import Provider, echo
from tests.support.simulator import Simulator
from tests.support.talk import Canary, Gone, Talk, ask, asked, chat, in_contract, request

SECOND = "sk-second-0123456789abcdef"
KEYS = [{"name": "test", "key": "env:TEST_KEY"}, {"name": "second", "key": "env:SECOND_KEY"}]
MODELS = request(method="GET", path="/v1/models")


@pytest.fixture
def base(simulator: Simulator) -> dict[str, Any]:
    """The configuration to begin with."""
    return configuration(simulator.url, workers=2)


@pytest.fixture
def edge(base: dict[str, Any]) -> Any:
    """A gateway that has it; the environment holds a key for later."""
    with Gateway(base, environ={"SECOND_KEY": SECOND}) as gateway:
        yield gateway


def hang_up(edge: Gateway, version: int) -> None:
    """SIGHUP, and waits for the version."""
    edge.process.send_signal(signal.SIGHUP)
    edge.wait(lambda: any(line["message"] == f"configuration version {version} in force" for line in edge.log_lines()))


def everywhere(edge: Gateway, data: bytes) -> set[int]:
    """Statuses of twenty connections: every worker is among them but by a chance of one in 2^19."""
    return {ask(edge.port, data).status for _ in range(20)}


def test_keys_come_and_go(edge: Gateway, base: dict[str, Any]) -> None:
    """A key that is added is good at every worker when the reload has answered, one that is removed is not."""
    with Talk(edge.port) as kept:
        assert kept.send(chat()).answer().status == 200
        assert everywhere(edge, chat(key=SECOND)) == {401}
        done = edge.reload({**base, "keys": KEYS})
        assert done.status_code == 200 and done.json() == {"version": 2}
        assert everywhere(edge, chat(key=SECOND)) == everywhere(edge, chat()) == {200}
        edge.configure({**base, "keys": KEYS[1:]})
        hang_up(edge, 3)
        assert everywhere(edge, chat(key=SECOND)) == {200}
        assert everywhere(edge, chat()) == {401}
        in_contract(kept.send(chat()).answer(), "key_unknown")
    assert edge.metric("edge_config_version") == 3


def test_limits_change(edge: Gateway, base: dict[str, Any]) -> None:
    """A limit that changes is in force at once, and what was used stays used: a reload refills nothing."""
    slow = {"requests_per_second": 0.01, "burst_size": 4}
    assert edge.reload({**base, "rate_limit": slow}).status_code == 200
    statuses = [ask(edge.port, chat()).status for _ in range(8)]
    assert statuses == [200] * 4 + [429] * 4
    assert edge.reload().status_code == 200
    assert ask(edge.port, chat()).status == 429
    assert edge.reload({**base, "rate_limit": {**slow, "burst_size": 6}}).status_code == 200
    assert [ask(edge.port, chat()).status for _ in range(4)] == [200, 200, 429, 429]
    assert edge.reload(base).status_code == 200
    assert everywhere(edge, chat()) == {200}


def test_aliases_contracts_and_bounds_change(edge: Gateway, base: dict[str, Any]) -> None:
    """Models, contract and bounds of the file are all in force after a reload."""
    changed = {**base, "models": {"fast": "openai/gpt-4o"}, "contract": "tokenpak", "limits": {"body_bytes": 100}}
    assert edge.reload(changed).status_code == 200
    assert ask(edge.port, chat("fast", text="x")).status == 200
    answer = ask(edge.port, chat("slow", text="x"))
    assert answer.status == 404 and answer.json["error"]["code"] != "model_not_found"
    assert ask(edge.port, chat("fast", text="x" * 200)).status == 413
    assert b'"fast"' in ask(edge.port, MODELS).body


def test_new_provider(edge: Gateway, base: dict[str, Any]) -> None:
    """A changed base_url counts for new requests; a stream that runs goes on where it began."""
    with Provider(echo) as other, Talk(edge.port) as stream:
        stream.send(chat(stream=True, fault="tokens=30;delay=20"))
        assert stream.socket.recv(1, 2)
        providers = {"openai": {**base["providers"]["openai"], "base_url": f"{other.url}/v1"}}
        assert edge.reload({**base, "providers": providers}).status_code == 200
        answer = ask(edge.port, chat(text="text-other"))
        assert answer.json["choices"][0]["message"]["content"] == "text-other"
        assert stream.answer().body.endswith(b"data: [DONE]\n\n")
    in_contract(ask(edge.port, request(asked(max_tokens=1), path="/v1/messages")), "not_implemented", "anthropic")


BROKEN = [("port: [\n", "CONFIG_001"), ("\tport: 1\n", "CONFIG_001"), ("port: 1\nport: 2\n", "CONFIG_001"),
          ("", "CONFIG_002"), ("port: 1\nlisten_addr: 127.0.0.1\n", "CONFIG_002"), ("prot: 1\n", "not a known key"),
          ("port: on\n", "CONFIG_00"), ("providers: {openai: {key: env:NOT_SET_HERE}}\n", "NOT_SET_HERE is not set")]

@pytest.mark.parametrize("text, words", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_file_changes_nothing(edge: Gateway, text: str, words: str) -> None:
    """A file that is wrong leaves everything as it is; the log names file, line, column and code of each problem."""
    edge.file.write_text(text)
    edge.process.send_signal(signal.SIGHUP)
    edge.wait(lambda: "stays as it was" in edge.log())
    line = next(line for line in edge.log_lines() if "stays as it was" in line["message"])
    assert line["level"] == "error" and str(edge.file) in line["message"] and words in line["message"]
    code = re.search(r"CONFIG_00\d", line["message"])
    assert code is not None
    if text.startswith(("\t", "port: 1\nport")):
        assert f"{edge.file}:{text.count(chr(10))}:" in line["message"]
    assert edge.metric("edge_config_version") == 1
    assert everywhere(edge, chat()) == {200}
    done = edge.reload()
    assert done.status_code == 500 and done.headers["x-request-id"] and done.headers["x-should-retry"] == "false"
    assert done.headers["x-edge-condition"] == {
        "CONFIG_001": "config_invalid", "CONFIG_002": "config_missing_field", "CONFIG_003": "config_value"}[code[0]]
    assert edge.metric("edge_config_version") == 1


def test_a_broken_file_in_tokenpaks_words(base: dict[str, Any]) -> None:
    """The admin API answers a broken file with CONFIG_001, a missing field with CONFIG_002, in the contract chosen."""
    with Gateway({**base, "contract": "tokenpak"}) as edge:
        edge.file.write_text("port: [\n")
        done = edge.reload()
        assert (done.status_code, done.json()["error"]["code"]) == (500, "CONFIG_001")
        edge.file.write_text("port: 0\nlisten_addr: 127.0.0.1\n")
        done = edge.reload()
        assert (done.status_code, done.json()["error"]["code"]) == (500, "CONFIG_002")
        assert "providers" in done.json()["error"]["message"]
        edge.file.unlink()
        done = edge.reload()
        assert (done.status_code, done.json()["error"]["message"]) == (
            500, "Failed to load config: No such file or directory")
        assert ask(edge.port, chat()).status == 200


def test_reloads_under_traffic(edge: Gateway, base: dict[str, Any]) -> None:
    """Twenty reloads under traffic and streams lose nothing, and leave no descriptors behind."""
    with contextlib.ExitStack() as stack:
        canaries = [stack.enter_context(Canary(edge.port, 0.002)) for _ in range(3)]
        streams = [stack.enter_context(Talk(edge.port)).send(chat(stream=True, fault="tokens=60;delay=15"))
                   for _ in range(20)]
        assert all(talk.socket.recv(1, 2) for talk in streams)
        for number in range(20):
            keys = KEYS if number % 2 else KEYS[:1]
            timeouts = {"idle": 30 + number}
            providers = {name: {**provider, "timeouts": timeouts} for name, provider in base["providers"].items()}
            assert edge.reload({**base, "keys": keys, "providers": providers}).status_code == 200
        for talk in streams:
            answer = talk.answer()
            assert answer.body.endswith(b"data: [DONE]\n\n") and b"event: error" not in answer.body
        served = [canary.served for canary in canaries]
        for canary in canaries:
            canary.wait(canary.served + 1)
    assert [canary.failures for canary in canaries] == [[], [], []] and min(served) > 10
    assert edge.metric("edge_config_version") == 21
    assert faults(edge) == []


def test_reloads_at_the_same_time(edge: Gateway) -> None:
    """Several who ask for a reload at once, SIGHUP among them, all get their answer."""
    found: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: found.append(edge.reload())) for _ in range(6)]
    for thread in threads:
        thread.start()
        edge.process.send_signal(signal.SIGHUP)
    for thread in threads:
        thread.join(5)
    assert [response.status_code for response in found] == [200] * 6
    assert max(response.json()["version"] for response in found) == edge.metric("edge_config_version")


def test_descriptors_do_not_grow(simulator: Simulator) -> None:
    """After two hundred connections and five reloads as many descriptors are open as before."""
    config = configuration(simulator.url, workers=2)
    config["providers"] = {name: {**provider, "keep_alive": 0.2} for name, provider in config["providers"].items()}

    def after(edge: Gateway) -> int:
        with contextlib.ExitStack() as stack:
            talks = [stack.enter_context(Talk(edge.port)).send(chat(stream=number % 2 == 0)) for number in range(200)]
            assert {talk.answer().status for talk in talks} == {200}
        for number in range(5):
            assert edge.reload({**config, "timeout": 30 + number}).status_code == 200
        at_rest(edge)
        edge.wait(lambda: sum(worker["upstream_connections"] for worker in figures(edge)["workers"]) == 0)
        return descriptors(edge)

    with Gateway(config) as edge:
        first = after(edge)
        after(edge)
        edge.wait(lambda: descriptors(edge) <= first, 3)


def test_what_only_a_restart_changes(edge: Gateway, base: dict[str, Any]) -> None:
    """A port or a number of workers that changes in the file is named in the log, and the rest is in force."""
    assert edge.reload({**base, "workers": 3, "keys": KEYS}).status_code == 200
    assert any("workers" in line["message"] and "next upgrade" in line["message"] for line in edge.log_lines())
    assert len(edge.children()) == 3
    assert everywhere(edge, chat(key=SECOND)) == {200}


def test_a_worker_born_after_a_reload(edge: Gateway, base: dict[str, Any]) -> None:
    """A worker that is started again has the version in force, not the one that the gateway began with."""
    assert edge.reload({**base, "keys": KEYS[1:]}).status_code == 200

    for pid in edge.children()[1:]:
        os.kill(pid, signal.SIGKILL)
    assert everywhere(edge, chat(key=SECOND)) == {200}
    assert everywhere(edge, chat(key=KEY)) == {401}


@pytest.mark.parametrize("freed", [False, True])
def test_who_waits_at_a_provider_that_is_replaced(simulator: Simulator, freed: bool) -> None:
    """A request in the queue of a provider whose address a reload changes is served there, or refused, in its time."""
    base = configuration(simulator.url, queue={"timeout": 2})
    base["providers"]["openai"]["max_connections"] = 1
    with Gateway(base) as edge, Provider(echo) as other, Talk(edge.port) as busy, Talk(edge.port) as waiting:
        busy.send(chat(fault="latency=1000" if freed else "hang"))
        edge.wait(lambda: edge.metric("edge_requests_in_flight") == 1)
        waiting.send(chat())
        edge.wait(lambda: edge.metric("edge_requests_in_flight") == 2)
        began = time.monotonic()
        moved = {**base["providers"]["openai"], "base_url": f"{other.url}/v1"}
        assert edge.reload({**base, "providers": {**base["providers"], "openai": moved}}).status_code == 200
        assert waiting.answer().status == (200 if freed else 503)
        assert time.monotonic() - began < 10
        busy.socket.close()
        edge.wait(lambda: edge.metric("edge_connections", side="upstream") <= 1)


def test_who_waits_for_more_connections(simulator: Simulator) -> None:
    """A request that waits for one of a provider's connections goes on at once when a reload gives it more of them."""
    base = configuration(simulator.url, queue={"timeout": 60})
    base["providers"]["openai"]["max_connections"] = 1
    with Gateway(base) as edge, Talk(edge.port) as busy, Talk(edge.port) as waiting:
        busy.send(chat(fault="hang"))
        edge.wait(lambda: len(simulator.requests()) == 1)
        waiting.send(chat())
        edge.wait(lambda: edge.metric("edge_provider_waiting") == 1)
        more = {**base["providers"]["openai"], "max_connections": 2}
        assert edge.reload({**base, "providers": {**base["providers"], "openai": more}}).status_code == 200
        assert waiting.answer().status == 200


def test_who_comes_to_a_provider_that_was_replaced(simulator: Simulator) -> None:
    """A request that was still being read at the reload waits at the old address, and no longer than any other."""
    base = configuration(simulator.url, queue={"timeout": 1})
    base["providers"]["openai"]["max_connections"] = 1
    upload = request(asked(), path="/v1/files", x_simulate="hang")
    with Gateway(base) as edge, Provider(echo) as other, Talk(edge.port) as busy, Talk(edge.port) as late:
        for talk in (busy, late):
            talk.send(upload[:-5])
        edge.wait(lambda: edge.metric("edge_connections", side="downstream") == 2)
        moved = {**base["providers"]["openai"], "base_url": f"{other.url}/v1"}
        assert edge.reload({**base, "providers": {**base["providers"], "openai": moved}}).status_code == 200
        time_is_up = time.monotonic() + 0.5         # the replaced pool is looked at: nothing seems left of it
        edge.wait(lambda: time.monotonic() > time_is_up)
        busy.send(upload[-5:])
        edge.wait(lambda: edge.metric("edge_requests_in_flight") == 1)
        began = time.monotonic()
        late.send(upload[-5:])
        in_contract(late.answer(), "gateway_overloaded")
        assert time.monotonic() - began < 5


def test_nothing_is_begun_behind_the_last_request(simulator: Simulator) -> None:
    """A request that a client sends behind its own Connection: close is not begun, however its bytes came."""
    with Gateway(configuration(simulator.url)) as edge:
        for first in (chat(connection="close"), chat(connection="close", stream=True),
                      request(method="GET", path="/health", key=None, connection="close"),
                      request(method="POST", path="/nowhere", connection="close")):
            before = len(simulator.requests())
            with Talk(edge.port) as talk:
                talk.send(first + chat(text="never-begun") * 3)
                talk.answer("GET" if first.startswith(b"GET") else "POST")
                with pytest.raises(Gone):
                    talk.answer()
            assert len(simulator.requests()) <= before + 1
        assert b"never-begun" not in repr(simulator.requests()).encode()
