"""Who a client is behind proxies, and what a key says of who may use it, from where and when."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx2 as httpx
import pytest

from edge.values.hours import DAYS
from tests.gateway.conftest import key_of
from tests.support.gateway import Gateway, configuration
from tests.support.simulator import Simulator
from tests.support.talk import Talk, asked, chat, in_contract, request

BEHIND, MALICE = "203.0.113.7", "198.51.100.66"
KEYS: dict[str, dict[str, Any]] = {
    "office": {"allowed_addresses": ["203.0.113.0/24", "2001:db8::/32"], "denied_addresses": ["203.0.113.66"]},
    "open": {"denied_addresses": ["198.51.100.0/24"]},
}


def gateway(provider: Simulator, keys: Mapping[str, Mapping[str, Any]], **changes: Any) -> Gateway:
    """One with these keys beside the usual one."""
    given = [{"name": name, "key": f"env:KEY_{name.upper()}", **rules} for name, rules in keys.items()]
    config = configuration(provider.url, **changes)
    return Gateway({**config, "keys": [*config["keys"], *given]},
                   environ={f"KEY_{name.upper()}": key_of(name) for name in keys})


@pytest.fixture(scope="module")
def behind(running: Simulator) -> Iterator[Gateway]:
    """A gateway that trusts the proxies of 127.0.0.0/8."""
    with gateway(running, KEYS, trusted_proxies=["127.0.0.0/8"]) as started:
        yield started


def told(edge: Gateway, key: str, *chain: str) -> tuple[int, str]:
    """The status and the condition of a request with these lines of X-Forwarded-For."""
    answer = httpx.post(f"{edge.url}/v1/chat/completions", json=asked("sim-1"), headers=[
        ("authorization", f"Bearer {key_of(key)}"), *(("x-forwarded-for", line) for line in chain)])
    return answer.status_code, answer.headers.get("x-edge-condition", "ok")


@pytest.mark.parametrize(("key", "chain", "condition"), [
    ("office", [BEHIND], "ok"),
    ("office", [f"{MALICE}, {BEHIND}"], "ok"),
    ("office", [MALICE, BEHIND], "ok"),
    ("office", ["2001:db8::7"], "ok"),
    ("office", ["[2001:db8::7]:4711"], "ok"),
    ("office", [f"{BEHIND}:4711"], "ok"),
    ("office", [f"::ffff:{BEHIND}"], "ok"),
    ("office", [f"{BEHIND}, 127.1.2.3, 127.0.0.9"], "ok"),
    ("office", [f"{BEHIND}, {MALICE}"], "ip_not_allowed"),
    ("office", [BEHIND, MALICE], "ip_not_allowed"),
    ("office", ["203.0.113.66"], "ip_denied"),
    ("office", ["2001:db9::7"], "ip_not_allowed"),
    ("office", [], "ip_not_allowed"),
    ("office", [f"{BEHIND}, unknown"], "ip_not_allowed"),
    ("office", [f"{BEHIND},"], "ip_not_allowed"),
    ("open", [], "ok"),
    ("open", ["garbage"], "ok"),
    ("open", [MALICE], "ip_denied"),
    ("open", [f"{BEHIND}, {MALICE}"], "ip_denied"),
    ("open", [f"{MALICE}, {BEHIND}"], "ok"),
])
def test_the_address_that_counts(behind: Gateway, key: str, chain: list[str], condition: str) -> None:
    """The last address that no trusted proxy has is the client's: a client's own X-Forwarded-For changes nothing."""
    assert told(behind, key, *chain) == (200 if condition == "ok" else 403, condition)


def test_the_log_names_the_client(behind: Gateway) -> None:
    """A refusal's line has the address that was judged."""
    assert told(behind, "open", f"{BEHIND}, 198.51.100.5")[1] == "ip_denied"
    behind.wait(lambda: '"198.51.100.5"' in behind.log())
    [line] = [json.loads(line) for line in behind.log().splitlines() if '"198.51.100.5"' in line]
    assert (line["address"], line["condition"]) == ("198.51.100.5", "ip_denied")


def test_a_kept_connection_serves_many_clients(behind: Gateway) -> None:
    """A proxy's connection is nobody's: each request on it is judged by its own address."""
    with Talk(behind.port) as talk:
        for address, condition in [
                (BEHIND, None), (MALICE, "ip_not_allowed"), (BEHIND, None), (None, "ip_not_allowed")]:
            fields = {} if address is None else {"x_forwarded_for": address}
            answer = talk.send(chat(key=key_of("office"), **fields)).answer()
            if condition is None:
                assert answer.status == 200
            else:
                in_contract(answer, condition)


def test_without_trusted_proxies(running: Simulator) -> None:
    """Nobody's X-Forwarded-For counts unless the configuration says whose does."""
    with gateway(running, KEYS) as edge:
        assert told(edge, "office", BEHIND) == (403, "ip_not_allowed")


def first(source: str) -> bytes:
    """A PROXY header in text."""
    return f"PROXY TCP4 {source} 192.0.2.1 4711 443\r\n".encode()


def second(source: str) -> bytes:
    """A binary one."""
    address = socket.inet_aton(source)
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", 12) + address + address + struct.pack(">HH", 4711, 443)


@pytest.fixture(scope="module")
def proxied(running: Simulator) -> Iterator[Gateway]:
    """A gateway behind a proxy that speaks the PROXY protocol."""
    with gateway(running, KEYS, trusted_proxies=["127.0.0.0/8"], proxy_protocol=True,
                 limits={"address_connections": 2}) as started:
        yield started


@pytest.mark.parametrize("header", [first, second])
@pytest.mark.parametrize(("source", "condition"), [(BEHIND, None), (MALICE, "ip_not_allowed")])
@pytest.mark.parametrize("cut", [None, 1, 13, 20])
def test_proxy_protocol(proxied: Gateway, header: Callable[[str], bytes], source: str, condition: str | None,
                        cut: int | None) -> None:
    """A connection's PROXY header, in whatever pieces it comes, says whose all its requests are."""
    begin = header(source)
    with Talk(proxied.port) as talk:
        talk.send(*([begin] if cut is None else [begin[:cut], begin[cut:]]))
        for _ in range(2):
            answer = talk.send(chat(key=key_of("office"))).answer()
            if condition is None:
                assert answer.status == 200
            else:
                in_contract(answer, condition)


def test_proxy_header_and_request_at_once(proxied: Gateway) -> None:
    """What comes behind the header in the same segment is the first request."""
    with Talk(proxied.port) as talk:
        assert talk.send(first(BEHIND) + chat(key=key_of("office"))).answer().status == 200


@pytest.mark.parametrize("begin", [
    b"", b"PROXY TCP9 1.2.3.4 1.2.3.4 1 2\r\n", b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c" + bytes(12),
    b"PROXY " + b"x" * 200], ids=["none", "text", "binary", "endless"])
def test_no_proxy_header(proxied: Gateway, begin: bytes) -> None:
    """A connection that does not begin with one is refused in contract, and ended; the log says why."""
    with Talk(proxied.port) as talk:
        answer = in_contract(talk.send(begin + chat()).answer(), "request_malformed")
        assert talk.end() == "fin"
    name = answer.header("x-request-id")
    assert name is not None
    proxied.wait(lambda: name in proxied.log())
    [line] = [json.loads(line) for line in proxied.log().splitlines() if name in line]
    assert line["reason"] == "the connection must begin with a PROXY header"


def test_connections_of_one_address(proxied: Gateway) -> None:
    """address_connections counts clients, not the proxy that all connections come from."""
    talks = [Talk(proxied.port).send(first(source)) for source in (BEHIND, BEHIND, MALICE, "203.0.113.8")]
    for talk in talks:
        assert talk.send(request(method="GET", path="/livez", key=None)).answer("GET").status == 200
    with Talk(proxied.port) as third:
        in_contract(third.send(first(BEHIND)).answer(), "gateway_overloaded")
    for talk in talks:
        talk.socket.close()


def test_hours_at_a_gateway(running: Simulator) -> None:
    """A key with hours serves while one of them is open, and says otherwise when it will."""
    day = datetime.now(UTC) + timedelta(days=3)
    shut = f"{DAYS[day.weekday()]} 10:00-11:00"
    keys = {"serves": {"hours": [shut, "mon-sun 00:00-24:00 Asia/Tokyo"]}, "shut": {"hours": [shut]}}
    with gateway(running, keys) as edge, Talk(edge.port) as talk:
        assert talk.send(chat(key=key_of("serves"))).answer().status == 200
        answer = talk.send(chat(key=key_of("shut"))).answer()
        in_contract(answer, "time_window_denied")
        assert f"from {day:%A, %Y-%m-%d} 10:00 UTC on".encode() in answer.body


def test_denied_models(running: Simulator) -> None:
    """A key may use all models of its patterns but those that it is denied."""
    keys = {"some": {"models": ["sim-*"], "denied_models": ["sim-*-pro"]}, "most": {"denied_models": ["sim-1"]}}
    with gateway(running, keys) as edge, Talk(edge.port) as talk:
        for name, model, said in [
                ("some", "sim-1", None), ("some", "sim-1-pro", b"It may use sim-* but sim-*-pro"),
                ("some", "gpt-1", b"It may use sim-* but sim-*-pro"), ("most", "sim-1", b"It may use all but sim-1"),
                ("most", "sim-2", None)]:
            answer = talk.send(chat(model=model, key=key_of(name))).answer()
            if said is None:
                assert answer.status == 200
            else:
                in_contract(answer, "model_denied")
                assert said in answer.body


@pytest.mark.parametrize("written", ["SIM-1", " sim-1\t", "Sim-1\n", "sim-9-PRO"])
@pytest.mark.parametrize("how", ["body", "deployment", "form"])
def test_denied_models_in_other_letters(running: Simulator, denying: Gateway, written: str, how: str) -> None:
    """What a key may not use it may not use by a name that a provider would take for the same."""
    path, files, headers = "/v1/chat/completions", None, {"authorization": f"Bearer {key_of('denied')}"}
    body: dict[str, Any] | None = asked(written)
    if how == "deployment":
        path = f"/openai/deployments/{quote(written.strip(), safe='')}/chat/completions"
        body = {"messages": asked("x")["messages"]}
    elif how == "form":
        path, body, files = "/v1/images/edits", None, {"model": (None, written.rstrip()), "image": ("a.png", b"x")}
    answer = httpx.post(denying.url + path, json=body, files=files, headers=headers)
    assert (answer.status_code, answer.headers.get("x-edge-condition")) == (403, "model_denied")


@pytest.fixture(scope="module")
def denying(running: Simulator) -> Iterator[Gateway]:
    """A gateway with patterns of more than one `*`, for models and in a key."""
    with gateway(running, {"denied": {"denied_models": ["sim-1", "sim-*-pro", "*-a-*-a-*b"]}},
                 models={"x-*-a-*-a-*b": "openai", "*": "openai"}) as edge:
        yield edge


@pytest.mark.parametrize("key", ["denied", None])
def test_names_that_almost_fit(denying: Gateway, key: str | None) -> None:
    """A long name that fits a pattern but for its end is read once: the worker has time for others."""
    [worker] = denying.children()[1:]
    with Talk(denying.port) as talk:
        sent = chat(model="x-" + "-a-" * 700_000, **({} if key is None else {"key": key_of(key)}))
        assert talk.send(sent).answer().status == 200
    assert denying.children()[1:] == [worker]


def test_health_behind_a_proxy(proxied: Gateway) -> None:
    """`edge health` is answered by a gateway whose connections begin with a PROXY header."""
    done = subprocess.run([sys.executable, "-m", "edge", "health"], capture_output=True, text=True, check=False, env={
        **proxied.environ, "EDGE_CONFIG": str(proxied.file), "EDGE_PORT": str(proxied.port)})
    assert (done.returncode, done.stdout) == (0, f"{proxied.url}/health: ok\n")
