"""The store in one file: SQLite, with a write-ahead log, so that who reads waits for nobody (sqlite.org/wal.html)."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from threading import Lock
from urllib.parse import quote

from edge.store import migrations
from edge.store.interface import Session
from edge.store.migrations import Dialect
from edge.store.rows import GONE, Unavailable
from edge.store.sql import SQL
from edge.values.snapshot import StorePlace

PATIENCE = 2.0              # seconds that a lock of others is waited for
_TURNS: dict[str, Lock] = {}        # of those who write, by the file
DIALECT = Dialect(begin="BEGIN IMMEDIATE", commit="COMMIT", moment="BEGIN", version="PRAGMA user_version",
                  set_version="PRAGMA user_version = {}")


@contextmanager
def told() -> Iterator[None]:
    """What SQLite raises, as Unavailable."""
    try:
        yield
    except sqlite3.Error as error:
        raise Unavailable(str(error)) from error
    except OSError as error:
        raise Unavailable(error.strerror or "it cannot be opened") from error


class SQLite(SQL):
    """See `Store`. It is opened anew where another file has taken the place of the one that is open: what is written to
    that one nobody else would see.
    """

    dialect = DIALECT
    told = staticmethod(told)

    def __init__(self, place: StorePlace, known: Callable[[], bool]) -> None:
        super().__init__(place, known)
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None       # that is open

    def session(self) -> sqlite3.Connection:
        """Open, of the newest version. OSError: the file was there, and is gone; keys would be lost with a new one."""
        if self._connection is not None and self._file != identity(self.place.name):
            self.close()
        if self._connection is None:
            if lost(self.place.name) and self.known():
                raise Unavailable(GONE)
            connection = opened(self.place.name)
            try:
                migrations.migrate(connection, DIALECT)
            except BaseException:
                connection.close()
                raise
            self._connection, self._file = connection, identity(self.place.name)
            self.opened += 1
        return self._connection

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """See `Store`. Threads of this process take turns: SQLite itself would look now and then whether it is its own.
        """
        turn = nullcontext() if self._under_way is not None else _TURNS.setdefault(self.place.name, Lock())
        with turn, super().writing() as session:
            yield session

    def close(self) -> None:
        """See `Store`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def listen(self) -> int:
        """See `Store`."""
        raise Unavailable("nobody shares a file")

    def exists(self) -> bool:
        """See `Store`."""
        return Path(self.place.name).exists()


@contextmanager
def moment(path: str) -> Iterator[Session | None]:
    """See `edge.store.opening.moment`."""
    if lost(path):
        yield None
        return
    with told(), closing(readable(path)) as connection:
        connection.execute("BEGIN")
        yield connection


def lost(path: str) -> bool:
    """Whether there is no file, or nothing in it. Unavailable."""
    with told():
        return not Path(path).exists() or not Path(path).stat().st_size


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
        if migrations.check(connection, DIALECT) == len(migrations.MIGRATIONS):
            return connection
        copy = sqlite3.connect(":memory:", isolation_level=None)
        connection.backup(copy)
    except BaseException:
        connection.close()
        raise
    connection.close()
    migrations.migrate(copy, DIALECT)
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
