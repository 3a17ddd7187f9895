"""What takes the place of the store's file, and what stands in the configuration's file beside its keys."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2 as httpx
import orjson

from edge.config import keys
from edge.store import care
from edge.store.places import place as placed
from tests.store.conftest import Admin, Start


def moved(path: Path, source: Path) -> None:
    """As `mv` and `rm` do it, under a gateway that has the file open."""
    for name in (f"{path}-wal", f"{path}-shm"):
        Path(name).unlink(missing_ok=True)
    source.rename(path)


def test_another_file_in_its_place(start: Start, tmp_path: Path) -> None:
    """A change is written to the file that is there, not to the one that was there when the gateway opened it."""
    admin = start(workers=1)
    made = admin.done("POST", "keys", {"name": "early"})["secret"]
    care.backup(placed(str(admin.store), tmp_path), str(tmp_path / "copy.db"))
    admin.done("POST", "keys", {"name": "later"})
    moved(admin.store, tmp_path / "copy.db")
    admin.done("POST", "keys/early/revoke")
    admin.use(made, "key_revoked")
    with closing(sqlite3.connect(admin.store)) as other:
        assert other.execute("SELECT name, state FROM keys").fetchall() == [("early", "revoked")]


def test_a_file_that_is_gone(start: Start, tmp_path: Path) -> None:
    """Without the file keys go on, also over a reload, and admins are told; no empty one takes its place."""
    admin = start(workers=1)
    made = admin.done("POST", "keys", {"name": "early"})["secret"]
    care.backup(placed(str(admin.store), tmp_path), str(tmp_path / "copy.db"))
    for name in admin.store.parent.glob("edge.db*"):
        name.unlink()
    admin.wrong("store_unavailable", "POST", "keys", {"name": "late"})
    admin.use(made)
    (problem,) = admin.edge.reload().json()["problems"]
    assert problem["key"] == "store" and "gone" in problem["message"]
    admin.use(made)
    assert not admin.store.exists()
    moved(admin.store, tmp_path / "copy.db")
    admin.use(admin.done("POST", "keys", {"name": "late"})["secret"])
    assert care.check(placed(str(admin.store), tmp_path)).keys == 2


def test_what_another_program_wrote(start: Start) -> None:
    """A key that is frozen in the store already, by another gateway's admin, is frozen here with the answer."""
    admin = start(workers=1)
    made = admin.done("POST", "keys", {"name": "early"})["secret"]
    with closing(sqlite3.connect(admin.store, isolation_level=None)) as other:
        other.execute("UPDATE keys SET state = 'frozen'")
    admin.use(made)
    admin.done("POST", "keys/early/freeze")
    admin.use(made, "key_frozen")


def test_what_a_control_left_that_died(start: Start) -> None:
    """A control that has died between a change and its force leaves no key in force that its successor denies."""
    admin = start(workers=1)
    made = admin.done("POST", "keys", {"name": "early"})["secret"]
    os.kill(admin.edge.children()[0], signal.SIGKILL)
    with closing(sqlite3.connect(admin.store, isolation_level=None)) as died:
        died.execute("DELETE FROM keys")
    admin.use(made)
    admin.edge.wait(lambda: there(admin))
    admin.wrong("resource_missing", "DELETE", "keys/early")
    admin.use(made, "key_unknown")


def there(admin: Admin) -> bool:
    """Whether control answers."""
    try:
        return admin.call("GET", "keys").status_code == 200
    except httpx.TransportError:
        return False


def test_a_secret_in_both(start: Start) -> None:
    """A key of the file with a secret of the store, also a former one, is a mistake that names both."""
    admin = start(workers=1)
    made = admin.done("POST", "keys", {"name": "early"})
    newest = admin.done("POST", "keys/early/rotate")
    good = orjson.loads(admin.edge.file.read_bytes())
    for secret in (made["secret"], newest["secret"]):
        own = {"name": "mine", "hash": f"blake2b:{keys.digest(secret, None).hex()}"}
        (problem,) = admin.edge.reload({**good, "keys": [*good["keys"], own]}).json()["problems"]
        assert problem["key"] == "keys[1]" and made["id"] in problem["message"]
        admin.use(secret)


def test_the_audit_outlives_the_key(admin: Admin) -> None:
    """What was done to a key that is gone is found by its id, and by its name."""
    made = admin.done("POST", "keys", {"name": "mortal"})["id"]
    admin.done("DELETE", "keys/mortal")
    for name in ("mortal", made):
        entries: list[dict[str, Any]] = admin.done("GET", f"audit?key={name}")["audit"]
        assert [entry["action"] for entry in entries] == ["delete", "create"]


def test_nothing_takes_out(admin: Admin) -> None:
    """null takes a setting out, whichever it is, and once more is no mistake."""
    admin.done("POST", "keys", {"name": "bare", "tags": ["a"], "metadata": {"a": "b"}, "expires": "2031-01-01"})
    for _ in range(2):
        bare = admin.done("PATCH", "keys/bare", {"tags": None, "metadata": None, "expires": None, "rate_limit": None})
        assert (bare["tags"], bare["metadata"], bare.get("expires")) == ([], {}, None)
