"""The store in its place: versions, checks and copies, by the commands that an operator has."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge.cli import main
from edge.store import KEYS, Deed, Row, Secrets, Store, Unavailable, clashes, migrations, opened, sql, stored
from edge.store.places import place as placed
from edge.values.snapshot import StorePlace
from tests.store.conftest import Start, asked

LATER = (("ALTER TABLE keys ADD COLUMN owner TEXT",), ("CREATE TABLE owners (id TEXT PRIMARY KEY)",))


def edge(*arguments: str) -> str:
    """A command that does well."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def row(name: str = "a") -> Row:
    """A key."""
    return Row(f"key_{name}", name, "sk-...", Secrets(name.encode() * 32))


def url(place: StorePlace) -> str:
    """What `--store` takes."""
    return place.name if place.url is None else place.url.reveal()


def put(store: Store, new: Row) -> None:
    """Writes a new key."""
    store.change(KEYS, Deed("test", "create", "req-1", new.id), lambda _: new, lambda shown: {"name": shown.name})


def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of a later version."""
    monkeypatch.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS + LATER)


def test_migrations_run_once_whoever_runs_them(place: StorePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that find an older store at the same time migrate it once, one after the other, and lose nothing."""
    put(opened(place), row())
    later(monkeypatch)
    failed: list[Exception] = []
    gate = threading.Barrier(8)

    def migrate() -> None:
        store = opened(place)
        gate.wait()
        try:
            assert store.find(KEYS, "a") == row()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=migrate) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert f"version {len(migrations.MIGRATIONS)}" in edge("store", "check", "--store", url(place))


def test_a_migration_that_fails_changes_nothing(place: StorePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that cannot be done takes those before it back."""
    put(opened(place), row())
    known = migrations.MIGRATIONS
    monkeypatch.setattr(migrations, "MIGRATIONS", (*known, *LATER, ("no SQL",)))
    with pytest.raises(Unavailable, match="syntax error"):
        opened(place).find(KEYS, "a")
    monkeypatch.setattr(migrations, "MIGRATIONS", known)
    assert opened(place).find(KEYS, "a") == row()


def names(place: StorePlace) -> list[str]:
    """Of its keys, as a start reads them."""
    with stored(place) as found:
        return [row.name for row, _ in found.rows]


def test_the_version_before_is_told(place: StorePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that runs on while a newer one migrates its store reads and writes no more, and says why."""
    store = opened(place)
    put(store, row())
    with monkeypatch.context() as patch:
        later(patch)
        opened(place).find(KEYS, "a")
    for act in (lambda: store.find(KEYS, "a"), lambda: store.page(KEYS, "", 1), lambda: put(store, row("b")),
                lambda: store.audit(None, None, 1), lambda: names(place),
                lambda: list(clashes(place, ()))):
        with pytest.raises(Unavailable, match=f"version {len(migrations.MIGRATIONS) + 2}"):
            act()


def test_many_keys(place: StorePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """All keys are read, in however many pieces."""
    monkeypatch.setattr(sql, "PIECE", 2)
    store = opened(place)
    for name in "abcde":
        put(store, row(name))
    assert names(place) == [*"abcde"]


def test_what_has_changed_since(store: Store, place: StorePlace) -> None:
    """Behind an entry of the audit stand the changes since, also of another opening; in a store that has another entry
    in its place nobody knows them."""
    put(store, row())
    with stored(place) as read:
        known = read.mark
    put(store, row("b"))
    found = opened(place).since(known)
    assert found is not None and [key.name for key in found.keys] == ["b"] and found.ended == frozenset()
    store.change(KEYS, Deed("test", "delete", "req-2", "a"), lambda _: None, lambda shown: {"name": shown.name})
    found = store.since(found.mark)
    assert found is not None and (found.keys, found.ended) == ((), {row().secrets.digest})
    asked(place, "UPDATE audit SET request = 'another'")
    assert store.since(found.mark) is None


def test_an_older_store_is_read_as_it_is(place: StorePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who only reads an older store finds its keys, and has not migrated it."""
    put(opened(place), row())
    with monkeypatch.context() as patch:
        later(patch)
        assert names(place) == ["a"]
    assert opened(place).find(KEYS, "a") == row()


def test_backup_and_restore(start: Start, tmp_path: Path) -> None:
    """A copy that was made beside a running gateway brings the keys back that there were, after a reload."""
    admin = start(workers=1)
    early = admin.done("POST", "keys", {"name": "early"})["secret"]
    config, copy = ("--config", str(admin.edge.file)), str(tmp_path / "copy.db")
    assert "1 keys" in edge("store", "backup", copy, *config)
    late = admin.done("POST", "keys", {"name": "late"})["secret"]
    admin.done("DELETE", "keys/early")
    edge("store", "restore", copy, *config)
    assert admin.edge.reload().status_code == 200
    admin.use(early)
    admin.use(late, "key_unknown")
    admin.done("POST", "keys", {"name": "later"})
    assert "2 keys" in edge("store", "check", *config)


@pytest.mark.parametrize("arguments", [("check",), ("migrate",), ("backup", "copy"), ("restore", "copy")], ids=" ".join)
@pytest.mark.parametrize("content", ["no database\n" * 1000, "", None], ids=["text", "empty", "missing"])
def test_what_is_no_store(tmp_path: Path, arguments: tuple[str, ...], content: str | None) -> None:
    """A command on what is no store says so in a line, and writes nothing over; an empty file is one without keys."""
    path, copy = tmp_path / "edge.db", tmp_path / "copy"
    if content is not None:
        path.write_text(content)
        if arguments[0] == "restore":
            copy.write_text("no database\n" * 1000)
    words = [str(copy) if word == "copy" else word for word in arguments]
    result = CliRunner().invoke(main, ["store", *words, "--store", str(path)])
    if (content == "" and arguments[0] != "restore") or (content is None and arguments[0] == "migrate"):
        assert result.exit_code == 0, result.output
    else:
        assert result.exit_code == 1 and result.output.count("\n") == 1, result.output
        assert not path.exists() if content is None else path.read_text() == content


def test_a_backup_writes_nothing_over(tmp_path: Path) -> None:
    """A backup to a file that is there is refused."""
    path, copy = tmp_path / "edge.db", tmp_path / "copy.db"
    put(opened(placed(str(path), tmp_path)), row())
    copy.write_text("mine")
    result = CliRunner().invoke(main, ["store", "backup", str(copy), "--store", str(path)])
    assert result.exit_code == 1 and copy.read_text() == "mine"


def test_a_key_that_nobody_checked(place: StorePlace) -> None:
    """What somebody else has written into the store, and no key can be, is found."""
    put(opened(place), row())
    asked(place, "UPDATE keys SET policy = '{\"hours\": [\"always\"]}'")
    assert "cannot be used" in CliRunner().invoke(main, ["store", "check", "--store", url(place)]).output
