"""Health checks, against the simulator and scripted providers."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop

from edge.control.health import Checks
from edge.dialects.kinds import Kind
from edge.values.snapshot import HealthCheck, Provider, Secret
from tests.support import provider as scripted
from tests.support.provider import Line
from tests.support.proxy import Proxy
from tests.support.simulator import Simulator

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
Scenario = Callable[["Verdicts"], Coroutine[Any, Any, None]]


class Verdicts:
    """What is to be called with each verdict; `await next()` gives the next one."""

    def __init__(self, jitter: float = 0) -> None:
        self.queue: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
        self.checks = Checks(asyncio.get_running_loop(), self, lambda: jitter)

    def __call__(self, name: str, healthy: bool) -> None:
        """A verdict."""
        self.queue.put_nowait((name, healthy))

    async def next(self) -> tuple[str, bool]:
        """Provider's name, whether it is healthy."""
        return await self.queue.get()


def run(scenario: Scenario, jitter: float = 0) -> None:
    """Runs it in a loop like control's, 20 seconds at most."""
    async def limited() -> None:
        async with asyncio.timeout(20):
            await scenario(Verdicts(jitter))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(limited())


def checked(url: str, name: str = "p", kind: Kind = "openai", rule: dict[str, Any] | None = None,
            **fields: Any) -> Provider:
    """A provider that is checked every 10 ms; one outcome is a verdict unless `rule` says otherwise."""
    check = HealthCheck(**{"path": "/models", "interval": 0.01, "timeout": 5.0, "unhealthy": 1, "healthy": 1,
                           **(rule or {})})
    return Provider(name, kind, url, health_check=check, **fields)


def saying(*answers: bytes) -> Callable[[Line], None]:
    """A script: these answers, one a connection, and the last of them for ever."""
    def script(line: Line) -> None:
        if line.request():
            line.send(answers[min(line.number, len(answers) - 1)])
    return script


@pytest.fixture
def lines() -> Iterator[list[logging.LogRecord]]:
    """What is logged."""
    found: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = found.append         # type: ignore[method-assign]
    logger = logging.getLogger("edge")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield found
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_outcomes_in_a_row_are_a_verdict(lines: list[logging.LogRecord]) -> None:
    """So many failures in a row take a provider out, so many successes in a row bring it back, each told once."""
    bad = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
    answers = [bad, OK, OK, bad, bad, OK, bad, bad, bad, OK, bad, OK, OK]
    with scripted.Provider(saying(*answers)) as server:
        async def scenario(verdicts: Verdicts) -> None:
            verdicts.checks.load([checked(f"{server.url}/v1", rule={"unhealthy": 3, "healthy": 2})])
            found = []
            for _ in range(3):
                found.append((await verdicts.next(), server.connections))
            assert found == [(("p", True), 3), (("p", False), 9), (("p", True), 13)]

        run(scenario)
    assert [(line.levelname, line.getMessage(), line.facts["reason"], line.facts["checks"])     # type: ignore[attr-defined]
            for line in lines] == [("INFO", "provider is healthy", None, 2),
                                   ("WARNING", "provider is unhealthy", "status 503", 3),
                                   ("INFO", "provider is healthy", None, 2)]


def _silent(line: Line) -> None:
    line.request()
    assert line.socket.recv(1) == b""           # until the check gives up


def _reset(line: Line) -> None:
    line.request()
    line.reset()


@pytest.mark.parametrize(("script", "reason"), [
    (saying(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"), "status 404"),
    (saying(b"HTTP/1.1 301 Moved\r\nlocation: /\r\n\r\n"), "status 301"),
    (saying(b"SSH-2.0-server and more\r\n"), "malformed answer"),
    (saying(b"HTTP/1.1 100 Continue\r\n" + b"a: b\r\n" * 20000), "malformed answer"),
    (saying(b""), "Connection reset"),
    (saying(b"HTTP/1.1 2"), "Connection reset"),
    (_reset, "Connection reset"),
    (_silent, "no answer in time"),
], ids=["404", "redirect", "no HTTP", "endless", "closed", "cut", "reset", "silent"])
def test_what_is_unhealthy(lines: list[logging.LogRecord], script: Callable[[Line], None], reason: str) -> None:
    """Whatever is no 2xx in time is a failure, and the log says what it was."""
    with scripted.Provider(script) as server:
        async def scenario(verdicts: Verdicts) -> None:
            verdicts.checks.load([checked(f"{server.url}/v1", rule={"timeout": 0.3})])
            assert await verdicts.next() == ("p", False)

        run(scenario)
    assert lines[0].facts["reason"] == reason                                   # type: ignore[attr-defined]


def test_nobody_listens(lines: list[logging.LogRecord]) -> None:
    """A refused connection is a failure."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))            # and does not listen

        async def scenario(verdicts: Verdicts) -> None:
            verdicts.checks.load([checked(f"http://127.0.0.1:{taken.getsockname()[1]}/v1")])
            assert await verdicts.next() == ("p", False)

        run(scenario)
    assert lines[0].facts["reason"] == "Connection refused"                     # type: ignore[attr-defined]


def test_interim_answers_are_none() -> None:
    """Interim responses before a 2xx are passed over, in however many pieces they come."""
    pieces = (b"HTTP/1.1 100 Con", b"tinue\r\n\r", b"\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHT",
              b"TP/1.1 ", b"204 No Content\r\n\r\n")

    def script(line: Line) -> None:
        line.request()
        for piece in pieces:
            line.send(piece)

    with scripted.Provider(script) as server:
        async def scenario(verdicts: Verdicts) -> None:
            verdicts.checks.load([checked(f"{server.url}/v1")])
            assert await verdicts.next() == ("p", True)

        run(scenario)


def test_what_is_asked() -> None:
    """A check is a GET behind the base URL with the first key and the provider's headers, in its dialect."""
    heads: dict[str, bytes] = {}

    def script(line: Line) -> None:
        if head := line.request():
            heads[head.partition(b" HTTP")[0].decode()] = head
            line.send(OK)

    with scripted.Provider(script) as server:
        keys = (Secret("sk-first"), Secret("sk-second"))
        host = f"127.0.0.1:{server.port}"
        own = (("Anthropic-Version", Secret("2099-01-01")),)

        async def scenario(verdicts: Verdicts) -> None:
            verdicts.checks.load([
                checked(f"{server.url}/v1", "a", keys=keys, headers=(("x-org", Secret("o")),)),
                checked(f"{server.url}", "b", "anthropic", {"path": "/v1/models?limit=1"}, keys=keys),
                checked(f"{server.url}/c", "c", "anthropic", headers=own)])
            for _ in range(3):
                await verdicts.next()

        run(scenario)
    tail = "connection: close\r\n\r\n"
    assert {target: head.decode() for target, head in heads.items()} == {
        "GET /v1/models": f"GET /v1/models HTTP/1.1\r\nhost: {host}\r\naccept-encoding: identity\r\nx-org: o\r\n"
                          f"authorization: Bearer sk-first\r\n{tail}",
        "GET /v1/models?limit=1": f"GET /v1/models?limit=1 HTTP/1.1\r\nhost: {host}\r\naccept-encoding: identity\r\n"
                                  f"anthropic-version: 2023-06-01\r\nx-api-key: sk-first\r\n{tail}",
        "GET /c/models": f"GET /c/models HTTP/1.1\r\nhost: {host}\r\naccept-encoding: identity\r\n"
                         f"Anthropic-Version: 2099-01-01\r\n{tail}"}


def test_simulated_providers() -> None:
    """A provider that begins to fail is unhealthy, and healthy when it is back, in both dialects."""
    with Simulator(key="sk-provider") as simulator:
        key = (Secret("sk-provider"),)

        async def scenario(verdicts: Verdicts) -> None:
            verdicts.checks.load([checked(simulator.openai_url, "o", keys=key),
                                  checked(simulator.url, "a", "anthropic", {"path": "/v1/models"}, keys=key)])
            assert {await verdicts.next(), await verdicts.next()} == {("o", True), ("a", True)}
            await asyncio.to_thread(simulator.fault, "status=503", path="/v1/models")
            assert {await verdicts.next(), await verdicts.next()} == {("o", False), ("a", False)}
            await asyncio.to_thread(simulator.reset)
            assert {await verdicts.next(), await verdicts.next()} == {("o", True), ("a", True)}

        run(scenario)


def test_tls_and_proxies(tmp_path: Path, lines: list[logging.LogRecord]) -> None:
    """A check goes through the provider's proxy, and trusts the provider's roots and no others."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("provider.test").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    with Simulator(tls_cert=str(tmp_path / "server.pem")) as simulator, Proxy() as proxy:
        url, way = f"https://provider.test:{simulator.port}/v1", Secret(proxy.url("socks5h"))

        async def scenario(verdicts: Verdicts) -> None:
            verdicts.checks.load([checked(url, "known", proxy=way, ca_bundle=str(tmp_path / "ca.pem")),
                                  checked(url, "unknown", proxy=way)])
            assert {await verdicts.next(), await verdicts.next()} == {("known", True), ("unknown", False)}

        run(scenario)
        assert proxy.asked[0] == ("socks5", "provider.test", simulator.port)
    reasons = {line.facts["provider"]: line.facts["reason"] for line in lines}  # type: ignore[attr-defined]
    assert reasons["unknown"].startswith("TLS failure")


def test_certificates_end(tmp_path: Path) -> None:
    """The end of the certificate that a provider shows is known after its check, and is a Unix time."""
    authority, ends = trustme.CA(), datetime(2055, 5, 5, 5, 5, 5, tzinfo=UTC)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("localhost", not_after=ends).private_key_and_cert_chain_pem.write_to_path(tmp_path / "own.pem")
    with Simulator(tls_cert=str(tmp_path / "own.pem")) as simulator, scripted.Provider(saying(OK)) as plain:
        async def scenario(verdicts: Verdicts) -> None:
            assert verdicts.checks.expiries() == {}
            verdicts.checks.load([checked(f"https://localhost:{simulator.port}/v1", "tls",
                                          ca_bundle=str(tmp_path / "ca.pem")), checked(f"{plain.url}/v1", "plain")])
            assert {await verdicts.next(), await verdicts.next()} == {("tls", True), ("plain", True)}
            assert verdicts.checks.expiries() == {"tls": ends.timestamp()}

        run(scenario)


def test_reload(lines: list[logging.LogRecord]) -> None:
    """A reload leaves unchanged checks alone, begins changed ones anew, and leaves nobody out who is asked no more."""
    bad = b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n"
    with scripted.Provider(saying(bad)) as sick, scripted.Provider(saying(OK)) as well:
        async def scenario(verdicts: Verdicts) -> None:
            load, a, b = verdicts.checks.load, checked(f"{sick.url}/v1", "a"), checked(f"{well.url}/v1", "b")
            load([a, b])
            assert {await verdicts.next(), await verdicts.next()} == {("a", False), ("b", True)}
            running = dict(verdicts.checks.running)
            load([checked(f"{sick.url}/v1", "a"), b])
            assert verdicts.checks.running == running and verdicts.queue.empty()
            load([checked(f"{sick.url}/v1", "a", rule={"interval": 0.02}), b])
            assert [await verdicts.next(), await verdicts.next()] == [("a", True), ("a", False)]
            assert verdicts.checks.running["b"] == running["b"]
            load([Provider("a", "openai", f"{sick.url}/v1"), b])
            assert await verdicts.next() == ("a", True)
            await rounds(well, 5)               # what was under way then has ended
            asked = sick.connections
            await rounds(well, 10)
            assert (sick.connections, verdicts.queue.empty()) == (asked, True)

        run(scenario)


async def rounds(server: scripted.Provider, number: int) -> None:
    """Until a provider has been asked so many times more."""
    until = server.connections + number
    while server.connections < until:
        await asyncio.sleep(0.005)


def test_one_at_a_time() -> None:
    """While a provider has not answered it is not asked again, however short the interval; others are."""
    def script(line: Line) -> None:
        if not line.number:
            line.request()
            assert line.socket.recv(1) == b""

    with scripted.Provider(script) as slow, scripted.Provider(saying(OK)) as quick:
        async def scenario(verdicts: Verdicts) -> None:
            verdicts.checks.load([checked(f"{slow.url}/v1", "slow", rule={"timeout": 60}), checked(f"{quick.url}/v1")])
            await rounds(quick, 20)
            assert slow.connections == 1

        run(scenario)


def test_checks_begin_apart() -> None:
    """The first check comes at a random time of the first interval."""
    with scripted.Provider(saying(OK)) as server:
        async def scenario(verdicts: Verdicts) -> None:
            begun = time.monotonic()
            verdicts.checks.load([checked(f"{server.url}/v1", rule={"interval": 0.4})])
            await verdicts.next()
            assert time.monotonic() - begun >= 0.2

        run(scenario, jitter=0.5)


def test_a_fault_of_ours_ends_no_check(lines: list[logging.LogRecord]) -> None:
    """A verdict that cannot be put down is logged with its traceback, and told again after the next check."""
    with scripted.Provider(saying(OK)) as server:
        async def scenario(verdicts: Verdicts) -> None:
            failures = iter([ZeroDivisionError()])

            def mark(name: str, healthy: bool) -> None:
                for failure in failures:
                    raise failure
                verdicts(name, healthy)

            Checks(asyncio.get_running_loop(), mark, lambda: 0).load([checked(f"{server.url}/v1")])
            assert await verdicts.next() == ("p", True)

        run(scenario)
    assert [line.getMessage() for line in lines if line.exc_info] == ["checking p"]
