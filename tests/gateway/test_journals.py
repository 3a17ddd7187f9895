"""Journals: whatever becomes of their files, of the store or of the clock, what was served is billed, and once."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from tests.gateway.books import DEAR, Books
from tests.support.gateway import Gateway


@pytest.fixture
def books(start: Callable[..., Gateway]) -> Iterator[Books]:
    """One of each test's own, with one worker."""
    with start(store="edge.db", workers=1, prices={"gpt-*": {"request": DEAR}}) as edge:
        yield Books(edge)


def served(books: Books, key: str, times: int) -> None:
    """Requests that are, as soon as there is a worker."""
    for _ in range(times):
        books.edge.wait(lambda: books.edge.children()[1:])
        assert books.ask(key, model="gpt-4").status == 200


def journals(books: Books) -> list[Path]:
    """Files of those that can be."""
    return [path for path in books.store.with_name("edge.db.points").iterdir() if ".spoilt-" not in path.name]


def spoil(path: Path, how: str) -> None:
    """What a hand, a full disk or a broken one may do to it."""
    if how == "gone":
        path.unlink()
    elif how == "empty":
        os.truncate(path, 0)
    elif how == "half":
        os.truncate(path, 5000)
    else:
        with path.open("r+b") as file:
            file.write(b"\xff" * 4096)


@pytest.mark.parametrize("how", ["gone", "empty", "half", "other"])
def test_a_spoilt_journal(books: Books, how: str) -> None:
    """A worker whose predecessor's journal is gone or spoilt begins another one, and all that it writes is posted."""
    edge, key = books.edge, books.key("a", points=100)
    served(books, key, 3)
    assert len(books.costs("a")) == 3
    os.kill(edge.process.pid, signal.SIGSTOP)       # so that there is no new worker meanwhile
    [worker] = edge.children()[1:]
    os.kill(worker, signal.SIGKILL)
    [path] = journals(books)
    spoil(path, how)
    os.kill(edge.process.pid, signal.SIGCONT)
    edge.wait(lambda: edge.children()[1:] not in ([], [worker]))
    served(books, key, 4)
    edge.wait(lambda: len(edge.children()) == 2 and len(books.costs("a")) == 7)
    assert len(set(books.asked("SELECT boot, worker, number FROM ledger"))) == 7
    os.kill(edge.children()[0], signal.SIGKILL)
    served(books, key, 2)
    edge.wait(lambda: len(books.costs("a")) == 9)
    if how == "other":
        assert "is spoilt" in edge.log()


def test_a_file_that_is_no_journal(books: Books) -> None:
    """A file that nobody will ever post is told of, once, with what can be done; the others are posted."""
    key = books.key("a", points=100)
    served(books, key, 1)
    strange = books.store.with_name("edge.db.points") / "1234-0"
    strange.write_bytes(b"edge 0.1")
    books.edge.wait(lambda: "cannot be read" in books.edge.log())
    served(books, key, 2)
    assert len(books.costs("a")) == 3
    [line] = [each for each in books.edge.log_lines() if "cannot be read" in str(each)]
    assert str(strange) in str(line) and "take it away" in str(line)


def test_another_store(books: Books) -> None:
    """What is spent of one store's account is not spent of another one's, though both are the first of theirs; and what
    was is spent still when the configuration goes back to it."""
    edge, first = books.edge, orjson.loads(books.edge.file.read_bytes())
    left = []
    for store, asks in (("edge.db", 3), ("other.db", 1), ("edge.db", 1), ("other.db", 1)):
        assert edge.reload({**first, "store": store}).status_code == 200
        if books.call("GET", "accounts/payer").status_code == 404:
            books.made("accounts", name="payer")
            books.made("accounts/payer/credit", points=10)
            books.key(store, account="payer", points=5)
        key = str(books.made(f"keys/{store}/rotate", overlap=0)["secret"])
        served(books, key, asks)
        left.append(books.call("GET", "accounts/payer/balance").json()["left"])
    assert left == ["7", "9", "6", "8"]
    os.kill(edge.children()[1], signal.SIGKILL)
    edge.wait(lambda: edge.children()[1:])
    served(books, key, 1)
    assert books.call("GET", "accounts/payer/balance").json()["left"] == "7"


def test_what_is_kept_no_longer(books: Books) -> None:
    """A gateway forgets entries that are older than it is told to keep them; usage, balances and the rest stay."""
    key = books.key("a", points=100)
    served(books, key, 3)
    assert len(books.costs("a")) == 3
    with closing(sqlite3.connect(books.store)) as store, store:
        store.execute("UPDATE ledger SET time = time - 86400 * 400 - 60 "
                      "WHERE number <> (SELECT max(number) FROM ledger)")
    os.kill(books.edge.children()[0], signal.SIGKILL)       # the next one looks at once, and not in an hour
    served(books, key, 1)
    books.edge.wait(lambda: books.asked("SELECT count(*) FROM ledger") == [(2,)])
    assert books.call("GET", "usage?by=key&key=a").json()["usage"][0]["requests"] == 4
