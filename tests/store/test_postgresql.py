"""A store in PostgreSQL that cannot be used: it is said in contract and without a secret, and traffic goes on."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from click.testing import CliRunner

from edge.cli import main
from edge.store import Unavailable, migrations, opened, stored
from edge.store.places import place as placed
from tests.store.conftest import Admin, Start, asked
from tests.store.test_file import put, row
from tests.support.gateway import KEY, PLAIN, StartedGateway, configuration
from tests.support.postgresql import PASSWORD, PROGRAMS, Server
from tests.support.simulator import Simulator
from tests.support.talk import ask, chat

CONFIG = """\
port: 0
listen_addr: 127.0.0.1
providers: {openai: {key: env:KEY}}
store: env:STORE_URL
"""
POINT = 10**6


def said(folder: Path, url: str, *command: str) -> str:
    """What a command says of a configuration with this store; never a password."""
    file = folder / "edge.yaml"
    file.write_text(CONFIG)
    result = CliRunner().invoke(main, [*command, str(file)] if command[0] == "config" else [
        *command, "--config", str(file)], env={"STORE_URL": url, "KEY": "sk-provider-0123456789"})
    assert PASSWORD not in result.output and "guessed" not in result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def mortal() -> Iterator[Server]:
    """A server that tests stop and kill, and start again."""
    with Server() as server:
        yield server


@pytest.mark.parametrize(("change", "reason"), [
    (lambda url: url.replace(PASSWORD, "guessed"), "password authentication failed for user \"edge\""),
    (lambda url: url + "nothing", "nothing\" does not exist"),
    (lambda url: url.replace(url.rpartition(":")[2].partition("/")[0], "1"), "Connection refused"),
    (lambda url: url.rpartition("/")[0], "does not name a database"),
    (lambda url: url.replace("postgresql", "mysql"), "has the scheme mysql, which is unknown here"),
    (lambda url: url.replace("127.0.0.1", "[guessed"), "is no URL"),
    (lambda url: url.replace(PASSWORD, "%zzguessed"), "percent-encode"),
    (lambda url: url + "?guessed=guessed", "manual for what may"),
    (lambda url: url + "?sslmode=verify-full", "cannot be used"),
], ids=["password", "database", "port", "no database", "scheme", "no URL", "escape", "option", "TLS"])
def test_what_is_no_store(postgresql: Server, tmp_path: Path, change: Any, reason: str) -> None:
    """A URL that leads to no store is refused at its line with the reason, by all who read the configuration."""
    url = change(postgresql.database())
    for command in (("config", "validate"), ("store", "check")):
        found = said(tmp_path, url, *command)
        assert reason in found or command[0] == "store", found
    assert "edge.yaml:4" in said(tmp_path, url, "config", "validate")


def test_without_the_client(postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where psycopg is not installed the message says what to install."""
    monkeypatch.setitem(sys.modules, "edge.store.postgresql", None)
    monkeypatch.delattr("edge.store.postgresql", raising=False)
    assert "pip install 'edge-gateway[postgresql]'" in said(tmp_path, postgresql.database(), "config", "validate")


def test_commands(postgresql: Server, tmp_path: Path) -> None:
    """An operator checks and migrates, and hears by which programs PostgreSQL is copied."""
    url = postgresql.database()
    newest = len(migrations.MIGRATIONS)
    assert f"version 0 of {newest}, 0 keys" in said(tmp_path, url, "store", "check")
    assert f"version {newest}, migrated from 0" in said(tmp_path, url, "store", "migrate")
    put(opened(placed(url, tmp_path)), row())
    assert f"version {newest} of {newest}, 1 keys, 1 audit entries" in said(tmp_path, url, "store", "check")
    name = f"postgresql://edge@127.0.0.1:{postgresql.port}/{url.rpartition('/')[2]}"
    assert f"pg_dump --format=custom --file=copy '{name}'" in said(tmp_path, url, "store", "backup", "copy")
    assert f"--dbname='{name}' copy" in said(tmp_path, url, "store", "restore", "copy")
    assert "env:STORE_URL" in said(tmp_path, url, "config", "show")


def test_two_that_begin_at_once(postgresql: Server, simulator: Simulator) -> None:
    """Of gateways that begin with an empty database at the same time one makes its tables, and both have them."""
    config = configuration(simulator.url, workers=1, store=postgresql.database())
    with ExitStack() as stack, ThreadPoolExecutor(2) as threads:
        admins = [Admin(each) for each in threads.map(
            stack.enter_context, (StartedGateway(config), StartedGateway(config)))]
        made = admins[0].done("POST", "keys", {"name": "early"})["secret"]
        for admin in admins:
            admin.edge.wait(lambda admin=admin: ask(admin.edge.port, chat(key=made)).status == 200)
            assert [line for line in admin.edge.log_lines() if line["level"] != "info"] == []


def test_a_backup_is_put_back(postgresql: Server, start: Start, tmp_path: Path) -> None:
    """By the commands that `edge store` names a store is copied and put back beside a gateway, which follows."""
    url = postgresql.database()
    admin = start(workers=1, store=url)
    early = admin.done("POST", "keys", {"name": "early"})["secret"]

    def copied(command: str) -> None:
        words = shlex.split(said(tmp_path, url, "store", command, str(tmp_path / "copy")).partition("run: ")[2])
        subprocess.run([PROGRAMS / words[0], *words[1:]], check=True, env={"PGPASSWORD": PASSWORD})
    copied("backup")
    late = admin.done("POST", "keys", {"name": "late"})["secret"]
    admin.done("DELETE", "keys/early")
    copied("restore")
    admin.edge.wait(lambda: ask(admin.edge.port, chat(key=early)).status == 200)
    admin.edge.wait(lambda: ask(admin.edge.port, chat(key=late)).status != 200)
    admin.use(late, "key_unknown")
    assert admin.done("POST", "keys", {"name": "later"})["name"] == "later"


def test_a_table_is_missing(postgresql: Server, tmp_path: Path) -> None:
    """A store without one of its tables is not whole, and the message names it."""
    url = postgresql.database()
    put(opened(placed(url, tmp_path)), row())
    asked(placed(url, tmp_path), "DROP TABLE spent")
    assert "relation \"spent\" does not exist" in said(tmp_path, url, "store", "check")
    asked(placed(url, tmp_path), "DROP TABLE keys")
    assert "relation \"keys\" does not exist" in said(tmp_path, url, "config", "validate")


def test_what_its_texts_cannot_hold(postgresql: Server, tmp_path: Path) -> None:
    """A name with a NUL or half a surrogate is one that there is not, and what clients have sent stops no ledger."""
    with closing(opened(placed(postgresql.database(), tmp_path))) as store:
        put(store, row())
        for name in ("a\0", "\0", "\udcff"):
            assert store.page(*(_keys(), name, 10)) is not None and store.find(_keys(), name) is None


def _keys() -> Any:
    from edge.store import KEYS
    return KEYS


def test_a_user_that_only_reads(postgresql: Server, start: Start, tmp_path: Path) -> None:
    """With a user that may not write the gateway serves the keys that there are, and a change hears what is missing."""
    url = postgresql.database()
    name = url.rpartition("/")[2]
    admin = start(workers=1, store=url)
    made = admin.done("POST", "keys", {"name": "early"})["secret"]
    with postgresql.connect(name) as owner:
        owner.execute(f"CREATE ROLE reader_{name} LOGIN PASSWORD 'guessed'")
        owner.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader_{name}")
    reader = start(workers=1, store=postgresql.url(name, f"reader_{name}", "guessed"))
    reader.use(made)
    answer = reader.call("POST", "keys", {"name": "late"})
    assert (answer.status_code, answer.headers["x-edge-condition"]) == (503, "store_unavailable")
    assert "permission denied for table" in answer.text
    assert reader.done("GET", "keys/early")["state"] == "active"
    shown = CliRunner().invoke(main, ["config", "show", str(admin.edge.file)], env=admin.edge.environ).output
    assert 'store: "***"' in shown and PASSWORD not in shown
    for each in (admin, reader):
        assert PASSWORD not in each.edge.log() + str(each.done("GET", "config"))
        assert "guessed" not in each.edge.log() + str(each.done("GET", "config"))


def paying(admin: Admin) -> str:
    """The secret of a key whose requests cost a point each."""
    admin.done("POST", "accounts", {"name": "payer"})
    admin.done("POST", "accounts/payer/credit", {"points": 1000})
    return str(admin.done("POST", "keys", {"name": "payer", "account": "payer"})["secret"])


def test_killed_under_traffic(mortal: Server, start: Start) -> None:
    """While PostgreSQL is gone requests pass and admins get 503 in contract at once, the log has a line, and what was
    billed stands in the ledger, once, when it is there again."""
    store = mortal.database()
    admin, other = (start(workers=2, store=store, prices={"*": {"request": POINT}}) for _ in range(2))
    secret = paying(admin)
    admin.use(secret)
    other.edge.wait(lambda: ask(other.edge.port, chat(key=secret)).status == 200)
    mortal.kill()
    try:
        for _ in range(20):
            admin.use(secret)
            other.use(secret)
            answer = admin.call("POST", "keys", {"name": "late"})
            assert (answer.status_code, answer.headers["x-edge-condition"]) == (503, "store_unavailable"), answer.text
            assert answer.elapsed.total_seconds() < 1
        reloaded = admin.edge.reload()
        assert reloaded.status_code == 500 and reloaded.json()["problems"][0]["key"] == "store"
        admin.use(secret)
    finally:
        mortal.start()
    admin.edge.wait(lambda: admin.call("POST", "keys", {"name": "late"}).status_code in (201, 409))
    billed = "SELECT count(*), count(DISTINCT boot), sum(points) FROM ledger WHERE boot <> 0"
    admin.edge.wait(lambda: admin.rows(billed) == [(43, 2, -43 * POINT)])
    for each in (admin, other):
        each.edge.wait(lambda each=each: each.done("GET", "accounts/payer/balance")["balance"] == "957")
    assert admin.edge.reload().status_code == 200
    said = [line["message"] for line in admin.edge.log_lines()]
    for message in ("the store cannot be used", "the store can be used again",
                    "costs of requests stay in the journals, as the store does not take them",
                    "the store takes costs of requests again"):
        assert said.count(message) == 1, [line for line in admin.edge.log_lines() if "store" in line["message"]]


def test_it_stands_still(mortal: Server, start: Start) -> None:
    """While PostgreSQL does not answer control does, and an admin hears within seconds; then it goes on."""
    admin = start(workers=1, store=mortal.database())
    made = admin.done("POST", "keys", {"name": "early"})["secret"]
    mortal.signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(admin.call, "POST", "keys", {"name": "late"})
            for _ in range(20):
                assert httpx.get(f"{admin.edge.admin}/livez", **PLAIN).elapsed.total_seconds() < 1
                admin.use(made)
                admin.use(KEY)
            assert waiting.result().headers["x-edge-condition"] == "store_unavailable"
            assert waiting.result().elapsed.total_seconds() < 10
    finally:
        mortal.signal(signal.SIGCONT)
    admin.edge.wait(lambda: admin.call("POST", "keys", {"name": "late"}).status_code in (201, 409))
    admin.wrong("resource_conflict", "POST", "keys", {"name": "late"})


def test_a_lock_of_others(postgresql: Server, start: Start) -> None:
    """A host that stands still with the lock of writers loses it: an admin hears of it, then goes on, and readers need
    none."""
    url = postgresql.database()
    admin = start(workers=1, store=url)
    admin.done("POST", "keys", {"name": "early"})
    with pytest.raises(Unavailable), opened(placed(url, Path())).writing():
        answer = admin.call("POST", "keys", {"name": "late"})
        assert "timeout" in answer.text and answer.headers["x-edge-condition"] == "store_unavailable"
        assert admin.done("GET", "keys/early")["state"] == "active"
        admin.edge.wait(lambda: admin.call("POST", "keys", {"name": "late"}).status_code in (201, 409))
    assert admin.done("GET", "keys/late")["state"] == "active"


def test_a_newer_version(postgresql: Server, start: Start) -> None:
    """A store that a newer program has migrated under a gateway is neither read nor written, its keys go on."""
    url = postgresql.database()
    admin = start(workers=1, store=url)
    made = admin.done("POST", "keys", {"name": "early"})["secret"]
    asked(placed(url, Path()), "UPDATE version SET number = number + 1")
    assert "run the edge that has migrated it" in admin.call("POST", "keys", {"name": "late"}).text
    (problem,) = admin.edge.reload().json()["problems"]
    assert problem["key"] == "store" and f"version {len(migrations.MIGRATIONS) + 1}" in problem["message"]
    admin.use(made)


def test_an_empty_database_in_its_place(postgresql: Server, start: Start) -> None:
    """Where the database is made anew under a gateway its keys go on, and neither a reload nor an admin loses them."""
    url = postgresql.database()
    admin = start(workers=1, store=url)
    made = admin.done("POST", "keys", {"name": "early"})["secret"]
    name = url.rpartition("/")[2]
    with postgresql.connect("postgres") as owner:
        owner.execute(f"DROP DATABASE {name} WITH (FORCE)")
        owner.execute(f"CREATE DATABASE {name}")
    (problem,) = admin.edge.reload().json()["problems"]
    assert problem["key"] == "store" and "gone" in problem["message"]
    admin.use(made)
    with stored(placed(url, Path())) as found:
        assert list(found.rows) == []
