"""Points: what requests cost, who pays, and that nothing is lost or billed twice."""

from __future__ import annotations

import csv
import io
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx2 as httpx
import pytest

from tests.gateway import client
from tests.gateway.books import DEAR, PRICES, Books, bearer
from tests.gateway.check import check
from tests.gateway.client import ask, post, receive
from tests.gateway.script import Script, answer, chunk, completion, stream_head
from tests.simulator.wire import Wire
from tests.support.gateway import PLAIN, Gateway

USAGE = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25, "prompt_tokens_details": {"cached_tokens": 8}}
COST = 1000 + 12 * 300 + 8 * 30 + 5 * 2000


@pytest.fixture(scope="module")
def books(start: Callable[..., Gateway]) -> Iterator[Books]:
    """One that tests share, whose keys have names of their own."""
    with start(store="edge.db", workers=2, points={"worth": 12_500, "currency": "EUR"}, prices={
            "scripted*": PRICES, "sim-*": PRICES, "gpt-*": {"request": DEAR}}) as edge:
        yield Books(edge)


def test_what_a_request_costs(books: Books, script: Script) -> None:
    """An answer says in its head what it has cost, in points and in money, and the ledger has an entry of the same."""
    key = books.key("cost", points=1000)
    found = client.scripted(books.edge, script, post("openai", model="scripted-1", headers=bearer(key)),
                            answer(completion(usage=USAGE)))
    assert found.status == 200
    assert found.fields["x-edge-cost"] == f"0.{COST:06} points, 0.{COST * 12_500 // 10**6:06} EUR"
    assert books.costs("cost") == [(COST, 20, 8, 5, "scripted-1", 0)]


@pytest.mark.parametrize("told", [True, False])
def test_what_a_stream_costs(books: Books, script: Script, told: bool) -> None:
    """A stream costs what its provider tells at its end; what it does not tell is estimated, and marked so."""
    name = f"stream-{told}"
    key = books.key(name, points=1000)
    text = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"word"},"finish_reason":null}]}\n\n'
    end = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    usage = (b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":20,"completion_tokens":5,'
             b'"prompt_tokens_details":{"cached_tokens":8}}}\n\n') if told else b""
    found = client.scripted(books.edge, script, post("openai", model="scripted", stream=True, headers=bearer(key)),
                            stream_head() + chunk(9 * text + end + usage + b"data: [DONE]\n\n") + chunk(b""))
    assert found.status == 200 and "x-edge-cost" not in found.fields
    [(points, _, _, output, _, estimated)] = books.costs(name)
    if told:
        assert (points, estimated) == (COST, 0)
    else:
        assert estimated == 1 and 9 <= output < 40 and points > 1000 + output * 2000


def test_what_fails_costs_nothing(books: Books) -> None:
    """What a provider refuses or fails to do costs nothing, and what was reserved is free again; what was sent and not
    answered may have been done, and costs what was reserved, marked as estimated."""
    key = books.key("failed", points=2)
    for spec in ("status=500", "status=429", "status=400"):
        assert books.ask(key, model="gpt-4", spec=spec).status >= 400
    assert books.ask(key, model="gpt-4").status == 200
    assert books.ask(key, model="gpt-4", spec="cut=0").status == 502
    assert books.ask(key, model="gpt-4").fields["x-edge-condition"] == "key_balance_insufficient"
    assert sorted((points, estimated) for points, _, _, _, _, estimated in books.costs("failed")) == [
        (DEAR, 0), (DEAR, 1)]


def test_the_last_point(books: Books) -> None:
    """Of two hundred requests at once for the last point one is served, and the others are told that there is none."""
    key = books.key("last", points=3)
    for _ in range(2):
        assert books.ask(key, model="gpt-4").status == 200
    with ThreadPoolExecutor(50) as threads:
        found = list(threads.map(lambda _: books.ask(key, model="gpt-4"), range(200)))
    assert sorted(each.status for each in found)[0] == 200
    assert sum(each.status == 200 for each in found) == 1
    for each in found:
        if each.status != 200:
            check(each, "openai", "openai", "key_balance_insufficient", {"admitted": True})
    assert [points for points, *_ in books.costs("last")] == [DEAR] * 3


@pytest.mark.parametrize("period", ["hour", "day", "month"])
def test_a_period(books: Books, period: str) -> None:
    """A key that has spent its points of an hour, a day or a month is refused until that ends, as Retry-After says."""
    key = books.key(period, **{f"points_per_{period}": 1})
    now = time.time()
    assert books.ask(key, model="gpt-4").status == 200
    found = books.ask(key, model="gpt-4")
    check(found, "openai", "openai", "key_period_limited", {"admitted": True})
    wait = int(found.fields["retry-after"])
    left = {"hour": 3600 - now % 3600, "day": 86400 - now % 86400}.get(period, 31 * 86400.0)
    assert 0 < wait <= left + 1 and (period == "month" or wait > left - 20)
    assert books.call("PATCH", f"keys/{period}", {f"points_per_{period}": 2}).status_code == 200
    assert books.ask(key, model="gpt-4").status == 200


def test_a_killed_worker(books: Books, script: Script) -> None:
    """What a killed worker's requests had reserved is free again, and what it had written down is billed, once."""
    key, edge = books.key("killed", points=3), books.edge
    assert books.ask(key, model="gpt-4").status == 200
    before = edge.metric("edge_reservations_expired_total")
    with Wire(edge.port) as one, Wire(edge.port) as other:
        for wire in (one, other):
            receive(wire.send(post("openai", model="gpt-4", stream=True, spec="stall=1", headers=bearer(key))), b"data")
        assert books.ask(key, model="gpt-4").fields["x-edge-condition"] == "key_balance_insufficient"
        for worker in edge.children()[1:]:
            os.kill(worker, signal.SIGKILL)
        edge.wait(lambda: edge.metric("edge_reservations_expired_total") == before + 2)
    edge.wait(lambda: books.ask(key, model="gpt-4").status == 200)
    assert books.ask(key, model="gpt-4").status == 200
    assert books.ask(key, model="gpt-4").fields["x-edge-condition"] == "key_balance_insufficient"
    assert len(books.costs("killed")) == 3


def test_a_killed_control(books: Books) -> None:
    """Whatever was settled while control is killed again and again is in the ledger, and nothing is there twice."""
    key, edge = books.key("control", points=1000), books.edge
    served = 0
    for _ in range(3):
        for _ in range(20):
            served += books.ask(key, model="gpt-4").status == 200
        control = edge.children()[0]
        os.kill(control, signal.SIGKILL)
        edge.wait(lambda before=control: before not in edge.children())
        edge.wait(lambda: httpx.get(f"{edge.admin}/livez", **PLAIN).status_code == 200)
    found = books.asked("SELECT count(*), count(DISTINCT boot || '-' || worker || '-' || number), -sum(points) "
                        "FROM ledger WHERE key = 'control'")
    assert found == [(served, served, served * DEAR)] and served == 60


def test_an_account_pays(books: Books) -> None:
    """Requests of an account's keys take from its balance, which credits fill and which ends at its last micro-point; a
    key's own part ends before it."""
    books.made("accounts", name="payer")
    one, two = (books.key(f"payer-{name}", account="payer", **more) for name, more in (("a", {}), ("b", {"points": 1})))
    check(books.ask(one, model="gpt-4"), "openai", "openai", "balance_insufficient", {"admitted": True})
    found = books.made("accounts/payer/credit", points="4.000001", reference="invoice-1")
    assert (found["balance"], found["left"], found["money"]) == ("4.000001", "4.000001", "0.05")
    assert books.made("accounts/payer/credit", points="4.000001", reference="invoice-1")["balance"] == "4.000001"
    assert books.ask(two, model="gpt-4").status == books.ask(one, model="gpt-4").status == 200
    assert books.ask(two, model="gpt-4").fields["x-edge-condition"] == "key_balance_insufficient"
    with ThreadPoolExecutor(50) as threads:
        found_all = list(threads.map(lambda _: books.ask(one, model="gpt-4").status, range(200)))
    assert found_all.count(200) == 2 and books.ask(two, model="gpt-4").fields["x-edge-condition"] == (
        "balance_insufficient")
    assert books.call("GET", "accounts/payer/balance").json()["balance"] == "0.000001"
    assert [points for points, *_ in books.costs("payer-a") + books.costs("payer-b")] == [DEAR] * 4
    [number] = books.asked("SELECT number FROM accounts WHERE name = 'payer'")
    assert books.asked("SELECT sum(points) FROM ledger WHERE account = ?", *number) == [(1,)]
    assert [each["action"] for each in books.call("GET", "audit?key=payer").json()["audit"]] == [
        "credit account", "create account"]


def test_what_is_no_credit(books: Books) -> None:
    """What is no number of points, is more than there can be, or leaves less than nothing, is refused, and nothing
    changes."""
    books.made("accounts", name="poor")
    for said in ({}, {"points": -1}, {"points": "1e3"}, {"points": 1.5}, {"points": True}, {"points": None}, [], "1",
                 {"points": "1000000000001"}, {"points": "0.0000001"}, {"points": 1, "to": "me"}, {"points": 10**18},
                 {"points": 1, "reference": "x" * 65}, {"points": 1, "reference": 7}):
        assert 400 <= books.call("POST", "accounts/poor/credit", said).status_code < 500, said
        assert books.call("GET", "accounts/poor/balance").json()["balance"] == "0"
    assert books.call("POST", "accounts/nobody/credit", {"points": 1}).status_code == 404


def test_a_full_journal(start: Callable[..., Gateway]) -> None:
    """While costs cannot be written down who must pay is told so, in contract, and all others are served; then it goes
    on, and nothing is lost."""
    with start(store="edge.db", workers=1, prices={"gpt-*": {"request": DEAR}}) as edge:
        books = Books(edge)
        key = books.key("a", points=1000)
        folder = books.store.with_name("edge.db.points")
        folder.write_text("in its place")
        check(books.ask(key, model="gpt-4"), "openai", "openai", "disk_full", {"admitted": True})
        assert ask(edge.port, post("openai", model="gpt-4")).status == 200
        assert edge.metric("edge_requests_unbilled_total") == 1
        folder.unlink()
        edge.wait(lambda: books.ask(key, model="gpt-4").status == 200)
        with closing(sqlite3.connect(books.store, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for _ in range(5):
                assert books.ask(key, model="gpt-4").status == 200
            edge.wait(lambda: edge.metric("edge_journal_lag_seconds") > 1)
        assert len(books.costs("a")) == 6


def test_a_killed_gateway(start: Callable[..., Gateway]) -> None:
    """What was settled before all processes were killed at once is billed by the next gateway on the same store, once,
    and what it had reserved is free."""
    with start(store="edge.db", workers=1, prices={"gpt-*": {"request": DEAR}}) as edge:
        books = Books(edge)
        books.made("accounts", name="payer")
        books.made("accounts/payer/credit", points=10)
        key = books.key("a", account="payer")
        with closing(sqlite3.connect(books.store, isolation_level=None)) as other, Wire(edge.port) as wire:
            other.execute("BEGIN IMMEDIATE")        # so that the journal alone has them
            for _ in range(3):
                assert books.ask(key, model="gpt-4").status == 200
            receive(wire.send(post("openai", model="gpt-4", stream=True, spec="stall=1", headers=bearer(key))), b"data")
            for process in (*edge.children(), edge.process.pid):
                os.kill(process, signal.SIGKILL)
            edge.process.wait()
        edge.__enter__()
        assert books.call("GET", "accounts/payer/balance").json()["left"] == "7"
        assert books.ask(key, model="gpt-4").status == 200
        assert len(books.costs("a")) == 4
        edge.wait(lambda: len(list(books.store.with_name("edge.db.points").iterdir())) == 1)


def test_usage(books: Books) -> None:
    """Usage is told by account, key, model and day, as JSON and as CSV, in points and in money."""
    key = books.key("user", points=1000)
    for model in ("gpt-a", "gpt-b", "gpt-b"):
        assert books.ask(key, model=model).status == 200
    books.costs("user")
    path = "usage?by=key,model&key=user"
    assert [(each["model"], each["requests"], each["points"], each["money"])
            for each in books.call("GET", path).json()["usage"]] == [
                ("gpt-a", 1, "1", "0.0125"), ("gpt-b", 2, "2", "0.025")]
    rows = list(csv.DictReader(io.StringIO(books.call("GET", f"{path}&format=csv").text)))
    assert [(row["key"], row["model"], row["points"]) for row in rows] == [
        ("user", "gpt-a", "1"), ("user", "gpt-b", "2")]
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert books.call("GET", "usage?by=day&key=user").json()["usage"][-1]["day"] == today
    assert books.call("GET", "usage?by=day&key=user&until=2020-01-01&since=2019-12-01").json()["usage"] == []
    assert {each["account"] for each in books.call("GET", "usage?by=account").json()["usage"]} >= {0}
    for wrong in ("by=who", "since=yesterday", "account=x", "account=" + "9" * 400, "until=2020-02-30"):
        assert books.call("GET", f"usage?{wrong}").status_code == 400
