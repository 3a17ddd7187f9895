"""The store in one file: SQLite, with a write-ahead log, so that who reads waits for nobody (sqlite.org/wal.html)."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from edge.store import migrations
from edge.store.interface import Change, Show
from edge.store.keys import made, made_party
from edge.store.rows import Deed, Entry, Party, Taken, Unavailable
from edge.store.tables import KEYS, PARTIES, R, Table, dumped
from edge.values.parties import KINDS, Numbers, PartyKind, behind
from edge.values.snapshot import Key

PATIENCE = 2.0              # seconds that a lock of others is waited for
ENTRY = "number, time, who, action, request, key, before, after"


class Stored(NamedTuple):
    """All keys of a store, and all who stand behind them."""

    keys: tuple[Key, ...] = ()
    parties: tuple[Key, ...] = ()


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

    def find(self, table: Table[R], name: str) -> R | None:
        """See `Store`."""
        with told():
            migrations.check(self.connection)
            return self._find(table, name)

    def _find(self, table: Table[R], name: str) -> R | None:
        found = self.connection.execute(
            f"SELECT {table.columns} FROM {table.name} WHERE ?1 IN ({table.by}, name) ORDER BY {table.by} = ?1 DESC "
            "LIMIT 1", (name,)).fetchone()
        return None if found is None else table.read(found)

    def page(self, table: Table[R], after: str, limit: int) -> list[R]:
        """See `Store`."""
        with told():
            migrations.check(self.connection)
            return [table.read(each) for each in self.connection.execute(
                f"SELECT {table.columns} FROM {table.name} WHERE {table.by} > ? ORDER BY {table.by} LIMIT ?",
                (after, limit))]

    def numbers(self, named: Mapping[str, Any]) -> Numbers:
        """See `Store`."""
        found = {(kind, named[kind]): self.find(PARTIES[kind], named[kind]) for kind in KINDS if kind in named}
        return {name: party.number for name, party in found.items() if party is not None}

    def key_of(self, kind: PartyKind, name: str) -> str | None:
        """See `Store`."""
        with told():
            found = self.connection.execute(
                f"SELECT name FROM keys WHERE json_extract(policy, '$.{kind}') = ? LIMIT 1", (name,)).fetchone()
        return None if found is None else str(found[0])

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that writes, all or nothing; of the newest version alone."""
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            migrations.check(connection)            # another program may have migrated it meanwhile
            yield connection
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A transaction that reads: all of one moment. Unavailable."""
        with told():
            connection = self.connection
            connection.execute("BEGIN")
            try:
                migrations.check(connection)
                yield connection
            finally:
                connection.execute("COMMIT")

    def change(self, table: Table[R], deed: Deed, change: Change[R], show: Show[R]) -> R | None:
        """See `Store`."""
        with told(), self.writing():
            before = self._find(table, deed.key)
            after = change(before)
            if after != before:
                known = after or before
                assert known is not None
                after = self._write(table, before, after)
                shown = [None if each is None else show(each) for each in (before, after)]
                self.note(deed, (after or known).id, *shown)
        return after

    def _write(self, table: Table[R], before: R | None, after: R | None) -> R | None:
        """One in the place of the other. As it is then: a new party has its number."""
        if before is not None:
            self.connection.execute(f"DELETE FROM {table.name} WHERE name = ?", (before.name,))
        if after is None:
            return None
        if self.connection.execute(f"SELECT 1 FROM {table.name} WHERE name = ?", (after.name,)).fetchone() is not None:
            raise Taken(after.name)
        cells = table.cells(after)
        made = f"INSERT INTO {table.name} ({table.columns}) VALUES ({', '.join('?' * len(cells))})"
        number = self.connection.execute(made, cells).lastrowid
        return replace(after, number=number or 0) if isinstance(after, Party) else after

    def note(self, deed: Deed, name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
        """An entry of the audit, of what is called so for good, in the transaction that is under way."""
        shown = [None if each is None else dumped(each) for each in (before, after)]
        self.connection.execute(
            "INSERT INTO audit (time, who, action, request, key, before, after) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (time.time(), deed.who, deed.action, deed.request, name, *shown))

    def audit(self, key: str | None, before: int | None, limit: int) -> list[Entry]:
        """The last entries, the newest first."""
        with told():
            migrations.check(self.connection)
            return [entry(each) for each in self.connection.execute(
                f"SELECT {ENTRY} FROM audit "
                "WHERE (?1 IS NULL OR ?1 IN (key, json_extract(coalesce(after, before), '$.name'))) "
                "AND (?2 IS NULL OR number < ?2) ORDER BY number DESC LIMIT ?3", (key, before, limit))]


def clients(path: str, known: bool = False) -> Stored:
    """All keys, and who stands behind them. Where there is no file, or nothing in it, there are none; an older file is
    not changed.

    Unavailable: it cannot be read, or is lost while keys of it are known.
    """
    with told():
        if not Path(path).exists() or not Path(path).stat().st_size:
            if known:
                raise Unavailable("the file was there, and is gone: put a backup in its place by `edge store restore`")
            return Stored()
    with told(), closing(readable(path)) as connection:
        connection.execute("BEGIN")             # all as it is at one moment
        parties = [row for table in PARTIES.values() for row in _all(connection, table)]
        keys = _all(connection, KEYS)
    numbers: dict[tuple[str, str], int] = {(party.kind, party.name): party.number for party in parties}
    try:
        return Stored(tuple(made(key, behind(key.policy, numbers)) for key in keys), tuple(map(made_party, parties)))
    except (ValueError, TypeError, KeyError) as error:
        raise Unavailable(f"a key in it cannot be used ({error!r}): restore a backup") from error


def _all(connection: sqlite3.Connection, table: Table[R]) -> list[R]:
    return [table.read(each) for each in connection.execute(
        f"SELECT {table.columns} FROM {table.name} ORDER BY {table.by}")]


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


def log_ahead(connection: sqlite3.Connection) -> None:
    """From now on there is a write-ahead log. (Another connection that is just doing the same is waited for by hand:
    SQLite's own patience does not hold here.)
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


def opened(path: str) -> sqlite3.Connection:
    """A connection that writes; the file, which is for its owner alone, is made if need be.

    (One that is there is left to SQLite: to close a descriptor of it would drop the locks of this process's other
    connections, and their log could be deleted under them, see "How To Corrupt An SQLite Database File", 2.2.)
    """
    if not Path(path).exists():
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        log_ahead(connection)
        connection.execute("PRAGMA synchronous = FULL")     # an answer of ours outlives a power cut
    except BaseException:
        connection.close()
        raise
    return connection


def entry(found: Sequence[Any]) -> Entry:
    """A row of the audit."""
    number, when, who, action, request, key, before, after = found
    shown = [None if each is None else json.loads(each) for each in (before, after)]
    return Entry(number, when, Deed(who, action, request, key), *shown)
