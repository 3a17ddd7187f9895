"""A store that cannot be used: admins are told so in contract, traffic goes on, and nothing is half-written."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx2 as httpx
import orjson
import pytest

from edge.store import migrations
from tests.store.conftest import Admin, Start
from tests.support.gateway import KEY, PLAIN


def refused(admin: Admin, reason: str) -> None:
    """An admin's write is refused for that reason, to be tried again, and clients do not notice."""
    answer = admin.call("POST", "keys", {"name": "late"})
    assert (answer.status_code, answer.headers["x-edge-condition"]) == (503, "store_unavailable"), answer.text
    assert int(answer.headers["retry-after"]) >= 1 and reason in answer.text
    admin.use(KEY)


def test_locked(start: Start) -> None:
    """While another program holds the store's lock admins are told, the gateway serves, and control answers others."""
    admin = start(workers=1)
    made = admin.done("POST", "keys", {"name": "early"})["secret"]
    with closing(sqlite3.connect(admin.store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused(admin, "locked")
        admin.use(made)
        assert httpx.get(f"{admin.edge.admin}/health", **PLAIN).status_code == 200
        assert admin.done("GET", "keys/early")["state"] == "active"         # readers need no lock
    admin.wrong("resource_missing", "GET", "keys/late")
    admin.done("POST", "keys", {"name": "late"})


def test_control_answers_while_the_store_waits(start: Start) -> None:
    """Whoever waits for the store keeps nobody else waiting."""
    admin = start(workers=1)
    admin.done("POST", "keys", {"name": "early"})
    with ThreadPoolExecutor(1) as threads, closing(sqlite3.connect(admin.store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = threads.submit(admin.call, "POST", "keys", {"name": "late"})
        for _ in range(20):
            assert httpx.get(f"{admin.edge.admin}/livez", **PLAIN).status_code == 200
            assert not waiting.done()
        other.execute("ROLLBACK")
        assert waiting.result().status_code == 201


def test_full_disk(start: Start) -> None:
    """Where there is no room for a change admins are told, what was there stays, and it goes on when there is room."""
    admin = start(workers=1)
    made = admin.done("POST", "keys", {"name": "early"})["secret"]
    control = admin.edge.children()[0]
    before = resource.prlimit(control, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    try:
        refused(admin, "")
    finally:
        resource.prlimit(control, resource.RLIMIT_FSIZE, before)
    admin.use(made)
    admin.wrong("resource_missing", "GET", "keys/late")
    admin.done("POST", "keys", {"name": "late"})


def test_a_newer_version_is_left_alone(start: Start) -> None:
    """A store that a newer program has migrated meanwhile is neither read nor written, and the message says so."""
    admin = start(workers=1)
    made = admin.done("POST", "keys", {"name": "early"})["secret"]
    with closing(sqlite3.connect(admin.store)) as other:
        other.execute(f"PRAGMA user_version = {len(migrations.MIGRATIONS) + 1}")
    refused(admin, f"version {len(migrations.MIGRATIONS) + 1}")
    admin.use(made)
    reloaded = admin.edge.reload()
    assert reloaded.status_code == 500 and reloaded.json()["problems"][0]["key"] == "store"


def test_a_broken_file_keeps_no_key_in(start: Start) -> None:
    """Keys are made and revoked whatever the configuration's file holds by now."""
    admin = start(workers=1)
    made = admin.done("POST", "keys", {"name": "early"})["secret"]
    admin.edge.file.write_bytes(b"port: nowhere")
    admin.done("POST", "keys/early/revoke")
    admin.use(made, "key_revoked")
    admin.use(admin.done("POST", "keys", {"name": "late"})["secret"])


def test_control_may_die(start: Start) -> None:
    """Keys of the store are good while control is away, and its successor takes up what it left."""
    admin = start(workers=1)
    made = admin.done("POST", "keys", {"name": "early"})["secret"]
    control = admin.edge.children()[0]
    os.kill(control, signal.SIGKILL)
    admin.use(made)

    def back() -> bool:
        try:
            return admin.call("GET", "keys/early").status_code == 200
        except httpx.TransportError:
            return False
    admin.edge.wait(back)
    admin.done("POST", "keys/early/freeze")
    admin.use(made, "key_frozen")


def test_keys_outlive_the_gateway(start: Start, tmp_path: Path) -> None:
    """Keys are there after a kill of everything, as they were answered."""
    admin = start(workers=1, store=str(tmp_path / "edge.db"))
    made = admin.done("POST", "keys", {"name": "kept"})["secret"]
    frozen = admin.done("POST", "keys", {"name": "frozen"})["secret"]
    admin.done("POST", "keys/frozen/freeze")
    for pid in admin.edge.children():
        os.kill(pid, signal.SIGKILL)
    admin.edge.process.kill()
    admin.edge.process.wait()
    again = start(workers=1, store=str(tmp_path / "edge.db"))
    again.use(made)
    again.use(frozen, "key_frozen")
    assert len(again.done("GET", "audit")["audit"]) == 3
    assert (tmp_path / "edge.db").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", ["text", "folder"])
def test_a_start_without_a_store_that_can_be_read(start: Start, tmp_path: Path, damage: str) -> None:
    """A gateway whose store cannot be read does not start without its keys: it says which file, and why."""
    path = tmp_path / "edge.db"
    if damage == "text":
        path.write_text("no database\n" * 1000)
    else:
        path.mkdir()
    with pytest.raises(AssertionError, match=rf"store: {path} cannot be used"):
        start(store=str(path))


def test_a_name_in_both(start: Start) -> None:
    """A key of the file that takes the name of one in the store is a mistake that names both, and nothing changes."""
    admin = start(workers=1)
    made = admin.done("POST", "keys", {"name": "both"})
    config = orjson.loads(admin.edge.file.read_bytes())
    config["keys"].append({"name": "both", "hash": "blake2b:" + "1" * 64})
    reloaded: httpx.Response = admin.edge.reload(config)
    (problem,) = reloaded.json()["problems"]
    assert problem["key"] == "keys[1].name" and made["id"] in problem["message"]
    admin.use(made["secret"])


def test_keys_in_the_store_alone(start: Start) -> None:
    """With a store the file needs no keys: the first one is made by an admin."""
    admin = start(workers=1, keys=[])
    admin.use(admin.done("POST", "keys", {"name": "first"})["secret"])


def test_keys_live_through_an_upgrade(start: Start) -> None:
    """The next image of the program knows the keys of the store from its first request on, and admins go on."""
    admin = start(workers=1)
    made = admin.done("POST", "keys", {"name": "early"})["secret"]
    before = set(admin.edge.children())
    admin.edge.process.send_signal(signal.SIGUSR2)

    def served() -> bool:
        admin.use(made)
        return before.isdisjoint(admin.edge.children())
    admin.edge.wait(served, 30)
    admin.done("POST", "keys/early/revoke")
    admin.use(made, "key_revoked")
