"""The store in one file: SQLite, with a write-ahead log, so that who reads waits for nobody (sqlite.org/wal.html)."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edge.store import migrations
from edge.store.keys import made
from edge.store.rows import Change, Deed, Entry, Row, Secrets, Show, Taken, Unavailable
from edge.values.snapshot import Key

PATIENCE = 2.0              # seconds that a lock of others is waited for
KEY = "id, name, masked, digest, former, until, state, policy, metadata, tags, version, created, changed"
ENTRY = "number, time, who, action, request, key, before, after"
_PUT = f"INSERT INTO keys ({KEY}) VALUES ({', '.join('?' * len(KEY.split(',')))})"


@contextmanager
def told() -> Iterator[None]:
    """What SQLite raises, as Unavailable."""
    try:
        yield
    except sqlite3.Error as error:
        raise Unavailable(str(error)) from error
    except OSError as error:
        raise Unavailable(error.strerror or "it cannot be opened") from error


class SQLite:
    """A connection, for one thread. It is opened, and the store migrated, when it is first needed, and anew where
    another file has taken the place of the one that is open: what is written to that one nobody else would see.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None       # that is open

    @property
    def connection(self) -> sqlite3.Connection:
        """Open, of the newest version. OSError: the file was there, and is gone; keys would be lost with a new one."""
        known = self._connection
        if known is not None and not known.in_transaction and self._file != identity(self.path):
            self.close()
        if self._connection is None:
            connection = opened(self.path)
            try:
                migrations.migrate(connection)
            except BaseException:
                connection.close()
                raise
            self._connection, self._file = connection, identity(self.path)
        return self._connection

    def close(self) -> None:
        """Gives the file back; the next call opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def key(self, name: str) -> Row | None:
        """A key by its id, else by its name."""
        with told():
            migrations.check(self.connection)
            return self._key(name)

    def _key(self, name: str) -> Row | None:
        found = self.connection.execute(
            f"SELECT {KEY} FROM keys WHERE ?1 IN (id, name) ORDER BY id = ?1 DESC LIMIT 1", (name,)).fetchone()
        return None if found is None else row(found)

    def keys(self, after: str, limit: int) -> list[Row]:
        """The next keys behind an id, by id."""
        with told():
            migrations.check(self.connection)
            return [row(each) for each in self.connection.execute(
                f"SELECT {KEY} FROM keys WHERE id > ? ORDER BY id LIMIT ?", (after, limit))]

    def change(self, deed: Deed, change: Change, show: Show) -> Row | None:
        """See `Store`."""
        with told():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                migrations.check(self.connection)       # another program may have migrated it meanwhile
                before = self._key(deed.key)
                after = change(before)
                if after != before:
                    self._write(deed, before, after, show)
                self.connection.execute("COMMIT")
            finally:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
        return after

    def _write(self, deed: Deed, before: Row | None, after: Row | None, show: Show) -> None:
        known = after or before
        assert known is not None
        self.connection.execute("DELETE FROM keys WHERE id = ?", (known.id,))
        if after is not None:
            if self.connection.execute("SELECT 1 FROM keys WHERE name = ?", (after.name,)).fetchone() is not None:
                raise Taken(after.name)
            self.connection.execute(_PUT, cells(after))
        shown = [None if each is None else dumped(show(each)) for each in (before, after)]
        self.connection.execute(
            "INSERT INTO audit (time, who, action, request, key, before, after) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (time.time(), deed.who, deed.action, deed.request, known.id, *shown))

    def audit(self, key: str | None, before: int | None, limit: int) -> list[Entry]:
        """The last entries, the newest first."""
        with told():
            migrations.check(self.connection)
            return [entry(each) for each in self.connection.execute(
                f"SELECT {ENTRY} FROM audit "
                "WHERE (?1 IS NULL OR ?1 IN (key, json_extract(coalesce(after, before), '$.name'))) "
                "AND (?2 IS NULL OR number < ?2) ORDER BY number DESC LIMIT ?3", (key, before, limit))]


def clients(path: str, known: bool = False) -> tuple[Key, ...]:
    """All keys. Where there is no file, or nothing in it, there are none; an older file is not changed.

    Unavailable: it cannot be read, or is lost while keys of it are known.
    """
    with told():
        if not Path(path).exists() or not Path(path).stat().st_size:
            if known:
                raise Unavailable("the file was there, and is gone: put a backup in its place by `edge store restore`")
            return ()
    with told(), closing(readable(path)) as connection:
        found = [row(each) for each in connection.execute(f"SELECT {KEY} FROM keys ORDER BY id")]
    try:
        return tuple(map(made, found))
    except (ValueError, TypeError, KeyError) as error:
        raise Unavailable(f"a key in it cannot be used ({error!r}): restore a backup") from error


def identity(path: str) -> tuple[int, int]:
    """Which file it is. OSError."""
    found = Path(path).stat()
    return found.st_dev, found.st_ino


def reading(path: str) -> str:
    """The URI of a file that is not to be changed."""
    return f"file:{quote(path)}?mode=ro"


def readable(path: str) -> sqlite3.Connection:
    """A connection that only reads, of the newest version: an older one is migrated in memory."""
    connection = sqlite3.connect(reading(path), PATIENCE, uri=True, isolation_level=None)
    try:
        if migrations.check(connection) == len(migrations.MIGRATIONS):
            return connection
        copy = sqlite3.connect(":memory:", isolation_level=None)
        connection.backup(copy)
    except BaseException:
        connection.close()
        raise
    connection.close()
    migrations.migrate(copy)
    return copy


def opened(path: str) -> sqlite3.Connection:
    """A connection that writes; the file, which is for its owner alone, is made if need be."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")     # an answer of ours outlives a power cut
    except BaseException:
        connection.close()
        raise
    return connection


def row(found: Sequence[Any]) -> Row:
    """A row of the table."""
    id_, name, masked, digest, former, until, state, policy, metadata, tags, *rest = found
    return Row(id_, name, masked, Secrets(digest, former, until), state, json.loads(policy), json.loads(metadata),
               tuple(json.loads(tags)), *rest)


def cells(of: Row) -> tuple[Any, ...]:
    """Its cells."""
    secrets = of.secrets
    return (of.id, of.name, of.masked, secrets.digest, secrets.former, secrets.until, of.state, dumped(of.policy),
            dumped(of.metadata), json.dumps(of.tags), of.version, of.created, of.changed)


def entry(found: Sequence[Any]) -> Entry:
    """A row of the audit."""
    number, when, who, action, request, key, before, after = found
    shown = [None if each is None else json.loads(each) for each in (before, after)]
    return Entry(number, when, Deed(who, action, request, key), *shown)


def dumped(value: Mapping[str, Any]) -> str:
    """JSON."""
    return json.dumps(value, separators=(",", ":"))
