"""Connections to providers: names, addresses, keys in turn, and how many there may be."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections import Counter
from typing import Any

import pytest
import uvloop

from edge.net import dial, names
from tests.support.gateway import Gateway, configuration
from tests.support.looks import at_rest, faults, figures
from tests.support.provider import Line, Provider, echo, said
from tests.support.simulator import Simulator
from tests.support.talk import Answer, Talk, ask, chat, in_contract

NO_NAMES = ["no-such-host.invalid", "a..b", "x" * 64 + ".invalid", "-.invalid", "xn--a.invalid", "256.256.256.256"]


def providers(**entries: dict[str, Any]) -> dict[str, Any]:
    """A configuration in which the model `by-NAME` leads to the provider NAME."""
    whole = {name: {"kind": "openai", "key": "env:PROVIDER_KEY", **entry} for name, entry in entries.items()}
    return configuration("", providers=whole, models={f"by-{name}": name for name in whole}, timeout=3)


def message(answer: Answer) -> str:
    """An error's words."""
    text: str = answer.json["error"]["message"]
    return text


def test_names_and_ports_that_lead_nowhere() -> None:
    """A name that does not resolve and a port that is closed are provider_unreachable at once, each in its words."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        entries = {f"n{number}": {"base_url": f"http://{name}:{port}/v1"} for number, name in enumerate(NO_NAMES)}
        entries["closed"] = {"base_url": f"http://127.0.0.1:{port}/v1"}
        with Gateway(providers(**entries)) as edge:
            answer = in_contract(ask(edge.port, chat("by-closed")), "provider_unreachable")
            assert "Connection refused" in message(answer)
            for number, name in enumerate(NO_NAMES):
                begun = time.monotonic()
                answer = in_contract(ask(edge.port, chat(f"by-n{number}")), "provider_unreachable")
                assert "DNS failure" in message(answer) and name not in message(answer), name
                assert time.monotonic() - begun < 3
            assert faults(edge) == []
            assert at_rest(edge)["workers"][0]["upstream_connections"] == 0


def test_localhost(simulator: Simulator) -> None:
    """A provider named localhost is reached, whichever of its families it listens on."""
    with Gateway(providers(here={"base_url": f"http://localhost:{simulator.port}/v1"})) as edge:
        assert ask(edge.port, chat("by-here")).status == 200


def test_ipv6() -> None:
    """A provider at an IPv6 address is reached, and told so in Host."""
    heads: list[bytes] = []

    def script(line: Line) -> None:
        heads.append(line.request())
        line.send(said(b"six"))

    with Provider(script, "::1") as provider, \
            Gateway(providers(six={"base_url": f"{provider.url}/v1"})) as edge:
        assert ask(edge.port, chat("by-six")).status == 200
        assert f"host: [::1]:{provider.port}\r\n".encode() in heads[0].lower()


def raced(addresses: list[names.Address]) -> tuple[Any, float]:
    """The peer of the connection that won, or the exception, and how long it took."""
    async def run() -> Any:
        try:
            sock = await dial.race(asyncio.get_running_loop(), addresses)
        except OSError as error:
            return error
        with sock:
            return sock.getpeername()

    begun = time.monotonic()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run()), time.monotonic() - begun


def test_one_family_is_dead() -> None:
    """Where one address refuses the next is tried at once; where all refuse it is told."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        dead = (socket.AF_INET6, ("::1", port, 0, 0))
        won, took = raced([dead, dead, (socket.AF_INET, ("127.0.0.1", port))])
        assert won == ("127.0.0.1", port) and took < 0.2
        failed, took = raced([dead, dead])
        assert isinstance(failed, ConnectionRefusedError) and took < 0.2


def test_one_family_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one address does not answer the next is tried a moment later, and the first is given up when that wins."""
    given_up = []
    real = dial.dial

    async def one_silent(loop: asyncio.AbstractEventLoop, address: names.Address) -> socket.socket:
        if address[0] != socket.AF_INET6:
            return await real(loop, address)
        try:
            await asyncio.sleep(60)
        finally:
            given_up.append(address)
        raise AssertionError

    monkeypatch.setattr(dial, "dial", one_silent)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        won, took = raced([(socket.AF_INET6, ("::1", 1, 0, 0)), (socket.AF_INET, address)])
    assert won == address and 0.2 < took < 0.6
    assert len(given_up) == 1


def test_families_take_turns() -> None:
    """Addresses are tried with families in turn, the resolver's first choice first (RFC 8305)."""
    six, four = socket.AF_INET6, socket.AF_INET
    given = [(six, 1), (six, 2), (six, 3), (four, 4), (four, 5)]
    assert names.interleave(given) == [(six, 1), (four, 4), (six, 2), (four, 5), (six, 3)]
    assert names.interleave([(four, 1), (six, 2), (six, 3)]) == [(four, 1), (six, 2), (six, 3)]


def test_keys_in_turn(simulator: Simulator) -> None:
    """Several keys of a provider are used in turn, evenly, each in the provider's own field."""
    keys = {"A": "sk-a", "B": "sk-b", "C": "sk-c"}
    config = configuration(simulator.url)
    for provider in config["providers"].values():
        del provider["key"]
        provider["keys"] = [f"env:{name}" for name in keys]
    with Gateway(config, environ=keys) as edge:
        for _ in range(9):
            assert ask(edge.port, chat()).status == 200
        with edge.client() as client:
            for _ in range(3):
                body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
                assert client.post("/v1/messages", json=body).status_code == 200
    fields = [dict(seen["headers"]) for seen in simulator.requests()]
    assert Counter(each["authorization"] for each in fields[:9]) == {f"Bearer {key}": 3 for key in keys.values()}
    assert sorted(each["x-api-key"] for each in fields[9:]) == sorted(keys.values())
    assert all("authorization" not in each for each in fields[9:])


def test_connection_limit_and_queue() -> None:
    """With one connection and a queue of one, the second request waits and the third is 503 with Retry-After."""
    with Provider(echo) as provider:
        config = providers(one={"base_url": f"{provider.url}/v1", "max_connections": 1})
        with Gateway({**config, "queue": {"queue_size": 1}}) as edge, contextlib.ExitStack() as stack:
            assert ask(edge.port, chat("by-one")).status == 200
            busy, waits, refused = [stack.enter_context(Talk(edge.port)) for _ in range(3)]
            held = threading.Event()
            release = threading.Event()

            def script(line: Line) -> None:
                line.request()
                held.set()
                release.wait(5)
                line.send(said(b"first"))
                echo(line)

            provider.script = script
            provider.hang_up()
            edge.wait(lambda: figures(edge)["workers"][0]["upstream_connections"] == 0)
            busy.send(chat("by-one"))
            edge.wait(held.is_set)
            waits.send(chat("by-one", text="text-second"))
            edge.wait(lambda: figures(edge)["in_flight"] == 2)
            answer = in_contract(refused.send(chat("by-one")).answer(), "gateway_overloaded")
            assert answer.header("retry-after") == "1" and answer.header("x-should-retry") == "true"
            assert waits.silent() and busy.silent()
            release.set()
            assert busy.answer().status == 200
            assert waits.answer().json["choices"][0]["message"]["content"] == "text-second"
            assert refused.send(chat("by-one", text="text-third")).answer().status == 200
            assert provider.connections == 2


def test_a_queue_of_none() -> None:
    """With a queue of none every request up to the connection limit is served, and the one beyond it is refused."""
    def script(line: Line) -> None:
        while line.request():
            time.sleep(0.2)
            line.send(said(b"served"))

    with Provider(script) as provider:
        config = providers(two={"base_url": f"{provider.url}/v1", "max_connections": 2})
        with Gateway({**config, "queue": {"queue_size": 0}}) as edge, contextlib.ExitStack() as stack:
            talks = [stack.enter_context(Talk(edge.port)).send(chat("by-two")) for _ in range(3)]
            statuses = sorted(talk.answer().status for talk in talks)
            assert statuses == [200, 200, 503]


def test_waiting_for_all_of_its_time(simulator: Simulator) -> None:
    """A request whose whole time has passed in the queue has not failed at the provider, of which it was nothing."""
    config = {**providers(one={"base_url": simulator.openai_url, "max_connections": 1}), "queue": {"timeout": 60}}
    with Gateway(config) as edge, Talk(edge.port) as busy, Talk(edge.port) as waits:
        busy.send(chat("by-one", fault="hang"))
        simulator.wait_for(lambda state: state["log"])
        config["providers"]["one"]["timeouts"] = {"total": 0.3}
        assert edge.reload(config).status_code == 200
        in_contract(waits.send(chat("by-one")).answer(), "gateway_overloaded")
        assert edge.metric("edge_attempt_failures_total", condition="provider_timeout") == 0


def test_waiting_ends_with_the_client(simulator: Simulator) -> None:
    """A client that leaves while its request waits for a connection gives its place up."""
    config = providers(one={"base_url": simulator.openai_url, "max_connections": 1})
    with Gateway({**config, "queue": {"queue_size": 1}}) as edge, Talk(edge.port) as busy:
        busy.send(chat("by-one", fault="latency=600"))
        simulator.wait_for(lambda state: state["log"])
        with Talk(edge.port) as leaver:
            leaver.send(chat("by-one"))
            edge.wait(lambda: figures(edge)["in_flight"] == 2)
        edge.wait(lambda: figures(edge)["in_flight"] == 1)
        with Talk(edge.port) as follower:
            assert follower.send(chat("by-one")).answer().status == 200
        assert busy.answer().status == 200
    assert len(simulator.requests()) == 2


def test_idle_connections_end(simulator: Simulator) -> None:
    """Idle connections are closed after keep_alive seconds, and at once beyond max_idle."""
    config = providers(few={"base_url": simulator.openai_url, "max_idle": 2, "keep_alive": 0.5})
    with Gateway(config) as edge, contextlib.ExitStack() as stack:
        talks = [stack.enter_context(Talk(edge.port)).send(chat("by-few", fault="latency=100")) for _ in range(6)]
        assert {talk.answer().status for talk in talks} == {200}
        edge.wait(lambda: figures(edge)["workers"][0]["upstream_connections"] == 2, 0.4)
        edge.wait(lambda: figures(edge)["workers"][0]["upstream_connections"] == 0, 2)


def test_client_connections_have_a_limit(simulator: Simulator) -> None:
    """A client beyond `limits.connections` is refused with 503 in contract, and there is room when another leaves."""
    config = configuration(simulator.url, limits={"connections": 5})
    with Gateway(config) as edge, contextlib.ExitStack() as stack:
        talks = [stack.enter_context(Talk(edge.port)) for _ in range(5)]
        assert {talk.send(chat()).answer().status for talk in talks} == {200}
        with Talk(edge.port) as beyond:
            answer = in_contract(beyond.answer(), "gateway_overloaded")
            assert answer.header("retry-after") == "1" and beyond.end() in ("fin", "reset")
        talks[0].socket.close()
        edge.wait(lambda: figures(edge)["workers"][0]["connections"] <= 4)
        assert ask(edge.port, chat()).status == 200
        assert talks[1].send(chat()).answer().status == 200
