"""A gateway that counts points, for tests of what requests cost."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import httpx2 as httpx

from tests.gateway.client import Answer, ask, post
from tests.support.gateway import PLAIN, Gateway

POINT = 10**6
PRICES = {"input": 300, "cached_input": 30, "output": 2000, "request": 1000, "most_output": 100}
DEAR = POINT                # of a request for `gpt-dear`, and nothing else


class Books:
    """A gateway that counts points, and what its store says of them."""

    def __init__(self, edge: Gateway) -> None:
        self.edge = edge
        self.store = edge.file.with_name("edge.db")

    def call(self, method: str, path: str, said: Any = None) -> httpx.Response:
        """The admin API."""
        return httpx.request(method, f"{self.edge.admin}/admin/{path}", **PLAIN, json=said)

    def made(self, path: str, **said: Any) -> dict[str, Any]:
        """What an admin has made."""
        found = self.call("POST", path, said)
        assert found.status_code in (200, 201), found.text
        value: dict[str, Any] = found.json()
        return value

    def key(self, name: str, **said: Any) -> str:
        """A new key."""
        return str(self.made("keys", name=name, **said)["secret"])

    def ask(self, key: str, **asked: Any) -> Answer:
        """A request with it."""
        return ask(self.edge.port, post("openai", headers={"authorization": f"Bearer {key}"}, **asked))

    def asked(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        """The store's rows, when all that was settled is posted."""
        self.edge.wait(lambda: self.edge.metric("edge_requests_in_flight") == 0)
        self.edge.wait(self.posted)
        with closing(sqlite3.connect(self.store)) as store:
            return store.execute(question, values).fetchall()

    def posted(self) -> bool:
        """Whether the store has all that requests have cost."""
        with closing(sqlite3.connect(self.store)) as store:
            found = store.execute("SELECT coalesce(sum(points), 0) FROM spent WHERE boot > 0 AND owner LIKE '#%'")
            return bool(found.fetchone()[0] == self.edge.metric("edge_millionths_of_points_total"))

    def costs(self, key: str) -> list[tuple[Any, ...]]:
        """The entries of a key."""
        return self.asked("SELECT -points, input, cached, output, model, estimated FROM ledger WHERE key = ? "
                          "ORDER BY time, worker, number", key)


def bearer(key: str) -> dict[str, str]:
    """The field that carries it."""
    return {"authorization": f"Bearer {key}"}
