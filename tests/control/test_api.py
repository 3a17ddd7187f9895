"""The control process over HTTP and over its channel, as an operator and the supervisor meet it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge._fast import RELAYED
from edge.config import INVALID, MISSING, SYNTAX, Place, Problem
from edge.control.guard import SCOPES, loopback
from edge.process.channel import Abort, Commit, Drain, Kind, Record, Reloaded, send
from edge.values.directory import all_limits
from edge.values.snapshot import AdminToken, Secret
from tests.control.running import Answer, Running, make_snapshot

Start = Callable[..., Running]
ADMIN = [("/stats", "GET"), ("/admin/workers", "GET"), ("/admin/config", "GET"), ("/admin/reload", "POST"),
         ("/admin/circuits", "GET"), ("/admin/circuits", "POST")]
KEYED = {"admin_key": Secret("sk-admin")}
TOKENS = tuple(AdminToken(f"a-{scope}", Secret(f"sk-{scope}"), scope) for scope in SCOPES)


def in_contract(answer: Answer, status: int, condition: str) -> dict[str, Any]:
    """The error object, once status, condition and the fields that clients act on are as they must be."""
    assert (answer.status, answer.headers["x-edge-condition"]) == (status, condition)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == answer.headers["request-id"]
    assert answer.headers["x-should-retry"] in ("true", "false")
    assert "date" in answer.headers
    error: dict[str, Any] = answer.json["error"]
    assert error["message"] and error["type"]
    return error


def reload_with(running: Running, answer: Callable[[int], Reloaded]) -> Answer:
    """POST /admin/reload while the supervisor answers so."""
    def supervise() -> None:
        message = running.hear()
        assert message.kind == Kind.RELOAD
        send(running.channel, answer(message.number))

    supervisor = threading.Thread(target=supervise)
    supervisor.start()
    result = running.ask("/admin/reload", "POST")
    supervisor.join()
    return result


# Health

def test_health_follows_the_workers(start: Start) -> None:
    """The process is alive from the start, and ready once a worker's event loop turns."""
    running = start()
    assert running.ask("/livez").json == {"status": "ok"}
    assert running.ask("/health").json["workers"] == 0
    in_contract(running.ask("/readyz"), 503, "gateway_overloaded")
    running.slab.beat(1, {})
    assert running.ask("/health").json["workers"] == 1
    assert running.ask("/readyz").json == {"status": "ok"}


def test_draining_is_not_ready(start: Start) -> None:
    """While a drain waits for connections, /readyz is 503 in contract and metrics still come."""
    running = start()
    running.slab.beat(0, {"connections": 1})
    send(running.channel, Drain(30))
    until = time.monotonic() + 20
    while running.ask("/health").json["status"] != "draining":
        assert time.monotonic() < until
    answer = running.ask("/readyz")
    in_contract(answer, 503, "draining")
    assert int(answer.headers["retry-after"]) >= 1
    assert running.ask("/metrics").status == 200
    running.slab.worker_died(0)
    assert running.ended()


def test_answers_have_a_date(start: Start) -> None:
    """Every answer has a Date field, errors of the server's own included."""
    running = start()
    assert all("date" in running.ask(path).headers for path in ("/livez", "/nowhere"))
    assert b"\r\ndate: " in running.raw(b"no http\r\n\r\n")


# The end

@pytest.mark.parametrize("how", ["terminated", "drained", "overdue", "orphaned"])
def test_ends_when_told(start: Start, how: str) -> None:
    """SIGTERM, a drain without connections, a drain whose time is over, or the supervisor's death end it."""
    running = start()
    if how == "terminated":
        os.kill(running.pid, signal.SIGTERM)
    elif how == "orphaned":
        running.channel.shutdown(2)
    else:
        running.slab.beat(0, {"connections": int(how == "overdue")})
        send(running.channel, Drain(0.1))
    assert running.ended()


def test_terminals_signals_are_the_supervisors(start: Start) -> None:
    """Ctrl-C reaches the whole group and does not end the process by itself."""
    running = start()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        os.kill(running.pid, number)
    assert running.ask("/livez").status == 200


def turns(pid: int) -> int:
    """How often a process's main thread has gone to sleep."""
    status = Path(f"/proc/{pid}/task/{pid}/status").read_text()
    return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])


def test_idle_process_sleeps(start: Start) -> None:
    """Between requests the process does not wake at all."""
    running = start()
    running.ask("/livez")
    before, woken = -1, turns(running.pid)
    for _ in range(100):                # the last request's own connection is still being closed
        if before == woken:
            break
        time.sleep(0.05)
        before, woken = woken, turns(running.pid)
    time.sleep(0.5)
    assert turns(running.pid) - woken <= 1


# Errors

def test_what_is_not_there_is_in_contract(start: Start) -> None:
    """An unknown path is 404, a wrong method 405 with Allow."""
    running = start()
    in_contract(running.ask("/nowhere"), 404, "endpoint_unknown")
    in_contract(running.ask("/metrics/"), 404, "endpoint_unknown")
    answer = running.ask("/admin/reload")
    in_contract(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("data", [
    b"no http at all\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00", b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n"])
def test_what_is_no_http_is_in_contract(start: Start, data: bytes) -> None:
    """Bytes that are no HTTP get a 400 in contract, and the next client is served."""
    running = start()
    head, _, body = running.raw(data).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\nx-edge-condition: request_malformed" in head and b"\r\nconnection: close" in head
    assert b'"error"' in body
    assert running.ask("/livez").status == 200


def test_fault_of_ours_is_in_contract(start: Start) -> None:
    """An exception becomes internal_error without a word of its text, and the process lives on."""
    running = start()
    running.registry._buckets.indices.clear()
    running.take_over(running.snapshot)
    answer = running.ask("/stats")
    in_contract(answer, 500, "internal_error")
    assert b"gateway'" not in answer.body
    assert running.ask("/livez").status == 200


def test_contract_is_the_configured_one(start: Start) -> None:
    """Control answers in the operator's contract."""
    running = start(contracts=(("openai", "tokenpak"), ("anthropic", "anthropic")))
    assert set(running.ask("/nowhere").json["error"]) == {"type", "message", "code"}


# Who may

@pytest.mark.parametrize(("path", "method"), ADMIN)
def test_admin_key_opens_admin_routes(start: Start, path: str, method: str) -> None:
    """With an admin key nothing but that key, as a bearer token, opens an admin route."""
    running = start(**KEYED)
    in_contract(running.ask(path, method), 401, "key_missing")
    in_contract(running.ask(path, method, authorization="Basic c2stYWRtaW4="), 401, "key_malformed")
    in_contract(running.ask(path, method, authorization="Bearer "), 401, "key_malformed")
    for wrong in ("sk-admi", "sk-admin2", "SK-ADMIN", "sk-admin\xe9"):
        in_contract(running.ask(path, method, authorization=f"Bearer {wrong}"), 401, "key_unknown")
    if method == "GET":
        assert running.ask(path, authorization="bearer sk-admin", origin="https://console.test").status == 200


@pytest.mark.parametrize(("path", "method"), ADMIN)
@pytest.mark.parametrize("field", [
    {"origin": "http://evil.test"}, {"origin": "null"}, {"host": "evil.test"}, {"host": "127.0.0.1.evil.test"},
    {"host": "evil.test:127"}, {"sec_fetch_site": "cross-site"}, {"sec_fetch_site": "same-site"},
    {"x_forwarded_for": "127.0.0.1"}, {"forwarded": "for=127.0.0.1"}, {"via": "1.1 proxy"}])
def test_without_key_no_web_page_gets_in(start: Start, path: str, method: str, field: dict[str, str]) -> None:
    """Without an admin key a request of a browser for a site, or through a proxy, is refused."""
    in_contract(start().ask(path, method, **field), 403, "scope_missing")


def test_tokens_let_in_by_their_scope(start: Start) -> None:
    """A viewer reads, an operator changes too, an owner does all; what is beyond a scope says which one is needed."""
    running = start(admin_tokens=TOKENS, **KEYED)
    for path, method, needed in (("/admin/workers", "GET", 0), ("/stats", "GET", 0), ("/admin/circuits", "POST", 1),
                                 ("/admin/keys", "POST", 1), ("/admin/accounts/a/suspend", "POST", 1),
                                 ("/admin/stop?now=x", "POST", 2)):
        for held, token in enumerate(TOKENS):
            if held >= needed and path.startswith("/admin/stop"):
                continue
            answer = running.ask(path, method, authorization=f"Bearer {token.secret.reveal()}")
            if held >= needed:
                assert answer.headers.get("x-edge-condition") not in ("scope_missing", "key_unknown")
            else:
                error = in_contract(answer, 403, "scope_missing")
                assert SCOPES[needed] in error["message"] and token.name in error["message"]
    in_contract(running.ask("/admin/workers", "GET", authorization="Bearer sk-vieweR"), 401, "key_unknown")
    assert running.ask("/admin/workers", authorization="Bearer sk-admin").status == 200


def test_tokens_alone_close_the_door(start: Start) -> None:
    """Where there are tokens and no admin key, programs of the same machine need one, too."""
    running = start(admin_tokens=TOKENS[:1])
    in_contract(running.ask("/admin/workers"), 401, "key_missing")
    assert running.ask("/admin/workers", authorization="Bearer sk-viewer").status == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:8767", "[::1]:8767", "127.0.0.1:1"])
def test_without_key_local_programs_get_in(start: Start, host: str) -> None:
    """Without an admin key a program on the same machine may use the admin routes."""
    assert start().ask("/admin/workers", host=host).status == 200


@pytest.mark.parametrize(("host", "local"), [
    ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True),
    ("10.0.0.1", False), ("::ffff:10.0.0.1", False), ("fe80::1", False), ("0.0.0.0", False)])
def test_loopback_peers(host: str, local: bool) -> None:
    """This machine's own addresses are told from others', in both families."""
    assert loopback(host) is local


def test_open_routes_need_no_key(start: Start) -> None:
    """Health and metrics are open, whatever name the scraper knows the host by."""
    running = start(**KEYED)
    for path in ("/livez", "/health", "/metrics"):
        assert running.ask(path, host="edge.internal:8767").status == 200


# What it says

def test_secrets_are_masked(start: Start) -> None:
    """The configuration is shown with every secret masked and no digest of a key."""
    running = start(key_secret=Secret("sk-secret"))
    answer = running.ask("/admin/config")
    assert answer.json["providers"][0]["keys"] == ["***"]
    assert answer.json["key_secret"] == "***"
    assert [key["name"] for key in answer.json["keys"]] == ["alice", "bob"]
    for secret in (b"sk-provider", b"sk-secret", b"digest", b"aaaaaaaa"):
        assert secret not in answer.body


def test_stats_add_up(start: Start) -> None:
    """/stats gives each used series, the workers, what is left of each limit, and the sums."""
    running = start()
    slab, registry = running.slab, running.registry
    chat = registry.series("chat", "first", "gpt-5")
    for worker in (0, 1):
        slab.account(worker, chat, 0, (1, 1, 1), (10, 20, 5))
        slab.account(worker, chat, RELAYED + 11, (1, 1, 1), (0, 0, 0))
        slab.enter(worker, chat, 2)
    [alice] = [each for each in all_limits(slab) if each.name == "key:alice"]
    slab.take(alice.index, 2)
    stats = running.ask("/stats").json
    assert (stats["version"], stats["requests"], stats["in_flight"]) == (1, 4, 4)
    assert stats["series"] == [{
        "route": "chat", "provider": "first", "model": "gpt-5", "in_flight": 4,
        "requests": {"ok": 2, "relayed_404": 2}, "tokens": {"input": 20, "output": 40, "cached": 10},
        "seconds": {name: [4, *[0] * len(bounds)] for name, bounds in stats["bounds"].items()}}]
    assert stats["limits"] == [
        {"owner": "gateway", "kind": "requests", "limit": 20, "left": 20},
        {"owner": "key:alice", "kind": "requests", "limit": 5, "left": pytest.approx(4, abs=1)}]
    assert stats["keys"]["alice"] == {"limit": 5, "left": pytest.approx(4, abs=1)}
    assert "bob" not in stats["keys"] and stats["limit"] == {"limit": 20, "left": 20}
    assert [worker["worker"] for worker in stats["workers"]] == [0, 1]


def test_new_version_is_taken_over(start: Start) -> None:
    """A version that was prepared changes nothing, and is in force at once when it is committed."""
    running = start()
    running.registry.plan(snapshot := make_snapshot(version=2, **KEYED))
    assert running.prepare(snapshot) == Record(Kind.READY, 7)
    assert running.ask("/health").json["config_version"] == 1
    send(running.channel, Commit(7))
    assert running.hear() == Record(Kind.SERVING, 2)
    assert running.ask("/health").json["config_version"] == 2
    in_contract(running.ask("/stats"), 401, "key_missing")


def test_version_that_cannot_be_is_refused(start: Start) -> None:
    """A version that cannot be compiled leaves the running one in force, and the supervisor is told why."""
    running = start()
    said = running.prepare(replace(make_snapshot(version=2), wording=()))
    assert (said.kind, said.number) == (Kind.REFUSED, 7) and "KeyError" in said.text
    assert running.ask("/health").json["config_version"] == 1


@pytest.mark.parametrize("aborted", [True, False])
def test_a_version_that_was_not_prepared(start: Start, aborted: bool) -> None:
    """A process told to commit what it has not prepared, or not any more, ends: its successor has the right version."""
    running = start()
    if aborted:
        assert running.prepare(make_snapshot(version=2)).kind == Kind.READY
        send(running.channel, Abort(7))
    send(running.channel, Commit(7))
    assert running.ended()


# Reload

def test_reload_says_the_new_version(start: Start) -> None:
    """POST /admin/reload answers with the version that is then in force."""
    answer = reload_with(start(), lambda number: Reloaded(number, 7))
    assert (answer.status, answer.json) == (200, {"version": 7})


LINE = "Failed to load config: YAML syntax error at line 12"
FIELD = "Config validation failed: Missing required field 'providers'"
GONE = "Failed to load config: No such file or directory"


@pytest.mark.parametrize(("code", "key", "message", "condition", "said"), [
    (SYNTAX, "", LINE, "config_invalid", LINE),
    (SYNTAX, "", GONE, "config_invalid", GONE),
    (MISSING, "providers", FIELD, "config_missing_field", FIELD),
    (INVALID, "port", "must be at least 0, got -1", "config_value",
     "Config validation failed: port: must be at least 0, got -1"),
    (INVALID, "", "worker-0 died", "config_value", "Config validation failed: worker-0 died")])
def test_reload_says_what_is_wrong(start: Start, code: str, key: str, message: str, condition: str, said: str) -> None:
    """A file that cannot be loaded is a 500 in contract with the problem's own code and words."""
    running = start(contracts=(("openai", "tokenpak"), ("anthropic", "anthropic")))
    wrong = Problem(code, Place("edge.yaml", 12, 3), key, message, "mend it")
    answer = reload_with(running, lambda number: Reloaded(number, None, (wrong,)))
    error = in_contract(answer, 500, condition)
    assert (error["code"], error["message"]) == (code, said)
    assert answer.headers["x-should-retry"] == "false"
