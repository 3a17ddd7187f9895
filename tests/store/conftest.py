"""A gateway with a store, and an admin of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2 as httpx
import orjson
import pytest
from click.testing import CliRunner, Result

from edge.cli import main
from edge.store import Store, opened
from edge.store.places import place as placed
from edge.values.snapshot import StorePlace
from tests.support.gateway import PLAIN, Gateway, configuration
from tests.support.postgresql import Server
from tests.support.simulator import Simulator
from tests.support.talk import Answer, Talk, ask, chat, in_contract

Start = Callable[..., "Admin"]
DATABASES = ("sqlite", "postgresql")


class Admin:
    """What an admin does at a gateway."""

    def __init__(self, edge: Gateway) -> None:
        self.edge = edge
        self.store = edge.file.with_name("edge.db")

    def call(self, method: str, path: str, said: Any = None, **headers: str) -> httpx.Response:
        """One request of the admin API."""
        return httpx.request(method, f"{self.edge.admin}/admin/{path}", **PLAIN,
                             json=said, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def done(self, method: str, path: str, said: Any = None, **headers: str) -> dict[str, Any]:
        """What it gives, when it is well."""
        answer = self.call(method, path, said, **headers)
        assert answer.status_code in (200, 201), answer.text
        value: dict[str, Any] = answer.json()
        return value

    def wrong(self, condition: str, method: str, path: str, said: Any = None, **headers: str) -> dict[str, Any]:
        """What it gives when it is not."""
        answer = self.call(method, path, said, **headers)
        assert answer.headers["x-edge-condition"] == condition, answer.text
        assert answer.headers["x-request-id"] == answer.headers["request-id"]
        value: dict[str, Any] = answer.json()
        return value

    def use(self, secret: str, condition: str = "ok", **asked: Any) -> Answer:
        """A request with a key, to be answered so."""
        answer = ask(self.edge.port, chat(key=secret, **asked))
        if condition == "ok":
            assert answer.status == 200, answer.body
            return answer
        return in_contract(answer, condition)

    def rows(self, question: str) -> list[Any]:
        """What another program is told by the store."""
        given = orjson.loads(self.edge.file.read_bytes())["store"]
        return asked(placed(given, self.edge.file.parent), question)

    def limits(self, owner: str) -> list[dict[str, Any]]:
        """What there is of an owner's limits."""
        said = httpx.get(f"{self.edge.admin}/stats", **PLAIN).json()["limits"]
        return [each for each in said if each["owner"] == owner]

    def talk(self) -> Talk:
        """A connection that lives on."""
        return Talk(self.edge.port)


def run(admin: Admin, *words: str) -> Result:
    """A command at this gateway."""
    return CliRunner().invoke(main, [*words, "--admin", admin.edge.admin])


def told(admin: Admin, *words: str) -> Any:
    """What it says to programs."""
    result = run(admin, *words, "--json")
    assert result.exit_code == 0, result.output
    return orjson.loads(result.output)


def asked(place: StorePlace, question: str) -> list[Any]:
    """What another program is told by a store."""
    with closing(opened(place)) as store, store.writing() as session:
        found = session.execute(question)
        return found.fetchall() if question.startswith("SELECT") else []


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A server that nobody stops."""
    with Server() as server:
        yield server


@pytest.fixture(params=DATABASES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> StorePlace:
    """Of an empty store, of each kind."""
    kind = request.param
    return placed("edge.db" if kind == "sqlite" else request.getfixturevalue("postgresql").database(), tmp_path)


@pytest.fixture
def store(place: StorePlace) -> Iterator[Store]:
    """An empty one, of each kind."""
    with closing(opened(place)) as made:
        yield made


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """Both providers."""
    with Simulator() as running:
        yield running


@pytest.fixture
def start(simulator: Simulator) -> Iterator[Start]:
    """Starts a gateway of its own for a test; `changes` are top-level keys, `...` leaves one out."""
    running: list[Gateway] = []

    def begin(**changes: Any) -> Admin:
        keys = {"store": "edge.db", "workers": 2, **changes}
        written = {name: value for name, value in keys.items() if value is not ...}
        gateway = Gateway(configuration(simulator.url, **written))
        running.append(gateway)
        return Admin(gateway.__enter__())

    yield begin
    for each in running:
        each.__exit__()


@pytest.fixture(scope="module", params=DATABASES)
def admin(request: pytest.FixtureRequest, simulator: Simulator) -> Iterator[Admin]:
    """One that tests share, whose keys have names of their own."""
    store = "edge.db" if request.param == "sqlite" else request.getfixturevalue("postgresql").database()
    with Gateway(configuration(simulator.url, store=store, workers=2)) as edge:
        yield Admin(edge)
