"""What an operator does with the store: look whether it is whole, migrate it, copy it, put a copy back."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from edge.store import migrations
from edge.store import sqlite as file
from edge.store.filling import stored
from edge.store.opening import postgresql
from edge.store.rows import Unavailable
from edge.store.sqlite import DIALECT, readable, reading, told
from edge.values.snapshot import StorePlace

PROGRAMS = "PostgreSQL is copied by its own programs, beside running gateways, so run: "


@dataclass(frozen=True, slots=True)
class Found:
    """A store that is whole."""

    version: int                        # of the database
    newest: int                         # that this program knows
    keys: int
    entries: int                        # of the audit


def check(place: StorePlace) -> Found:
    """Reads all of it. Unavailable: it is not there, damaged, of a newer version, or holds what no key can be."""
    if place.url is not None:
        version, entries = postgresql().check(place)
        return Found(version, len(migrations.MIGRATIONS), keys_of(place), entries)
    path = place.name
    with told():
        there = Path(path).exists()
    if not there:
        raise Unavailable("there is no such file")
    with told(), closing(sqlite3.connect(reading(path), uri=True)) as connection:
        version = migrations.check(connection, DIALECT)
        said = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if said != "ok":
        raise Unavailable(f"it is damaged ({said}): restore a backup")
    keys = keys_of(place)
    with told(), closing(readable(path)) as connection:
        entries = int(connection.execute("SELECT count(*) FROM audit").fetchone()[0])
    return Found(version, len(migrations.MIGRATIONS), keys, entries)


def keys_of(place: StorePlace) -> int:
    """How many there are, all read. Unavailable: one of them can be no key."""
    with stored(place) as found:
        return sum(not row.former for row, _ in found.rows)


def migrate(place: StorePlace) -> tuple[int, int]:
    """The version before, and now. Unavailable."""
    if place.url is not None:
        return int(postgresql().migrated(place)), len(migrations.MIGRATIONS)
    with told(), closing(file.opened(place.name)) as connection:
        return migrations.migrate(connection, DIALECT), migrations.version(connection, DIALECT)


def backup(place: StorePlace, target: str) -> Found:
    """Copies it as it is at one moment, also while a gateway writes. Nothing is written over. Unavailable."""
    if place.url is not None:
        raise Unavailable(f"{PROGRAMS}pg_dump --format=custom --file={target} '{place}'")
    check(place)
    with told():
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            with closing(sqlite3.connect(place.name)) as source, closing(sqlite3.connect(target)) as copy:
                source.backup(copy)
        except BaseException:
            Path(target).unlink()
            raise
    return check(at(target))


def restore(place: StorePlace, source: str) -> Found:
    """Puts a backup in the place of what is there, in one transaction, and migrates it. Unavailable."""
    if place.url is not None:
        raise Unavailable(f"{PROGRAMS}pg_restore --clean --if-exists --single-transaction --no-owner "
                          f"--dbname='{place}' {source}")
    path = place.name
    try:
        check(at(source))
    except Unavailable as error:
        raise Unavailable(f"{source} is no backup to restore: {error}") from None
    with told(), closing(sqlite3.connect(reading(source), uri=True)) as copy:
        try:
            target = file.opened(path)
        except sqlite3.DatabaseError as error:
            raise Unavailable(f"{error}: end the gateway, and move it, {path}-wal and {path}-shm away first") from None
        with closing(target):
            copy.backup(target)
            target.execute("PRAGMA journal_mode = WAL")
            migrations.migrate(target, DIALECT)
    return check(place)


def at(path: str) -> StorePlace:
    """Of a file."""
    return StorePlace(path, "")
