"""The store in SQL: what both databases are asked, in one text; how one is opened and begins is the database's own."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

from edge.store import migrations
from edge.store.interface import Change, Changes, Session, Show, T
from edge.store.keys import made, made_party
from edge.store.migrations import Dialect
from edge.store.rows import Deed, Entry, Party, Row, Taken, Unavailable
from edge.store.tables import KEYS, PARTIES, R, Table, dumped
from edge.values.directory import Mark
from edge.values.parties import KINDS, Numbers, PartyKind, behind, digest
from edge.values.snapshot import StorePlace

PIECE = 1000                # rows that are read at once
MOST = 500                  # entries of the audit that are followed one by one
ENTRY = "number, time, who, action, request, key, before, after"


class SQL(ABC):
    """See `Store`: all of it that is not one database's own."""

    dialect: Dialect

    def __init__(self, place: StorePlace, known: Callable[[], bool]) -> None:
        self.place = place
        self.known = known
        self.opened = 0
        self._under_way: Session | None = None      # a transaction

    @abstractmethod
    def told(self) -> AbstractContextManager[None]:
        """What the database raises, as Unavailable."""

    @abstractmethod
    def session(self) -> Session:
        """Open, and of the newest version when it was opened."""

    @abstractmethod
    def close(self) -> None:
        """See `Store`."""

    @contextmanager
    def _transaction(self, begin: str, commit: str) -> Iterator[Session]:
        with self.told():
            session = self.session()
            self._under_way = session
            try:
                session.execute(begin)
                migrations.check(session, self.dialect)     # another program may have migrated it meanwhile
                yield session
                session.execute(commit)
            except BaseException:
                self._undo(session)
                raise
            finally:
                self._under_way = None

    def _undo(self, session: Session) -> None:
        try:
            session.execute("ROLLBACK")
        except Exception:
            self.close()            # it has been taken back by itself, or with the connection

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """See `Store`."""
        if self._under_way is not None:
            yield self._under_way
            return
        with self._transaction(self.dialect.begin, self.dialect.commit) as session:
            yield session

    def each(self, deeds: Sequence[Callable[[], T]]) -> list[T | Exception]:
        """See `Store`."""
        found: list[T | Exception] = []
        with self.writing() as session:
            for deed in deeds:
                session.execute("SAVEPOINT deed")
                try:
                    with self.told():
                        found.append(deed())
                except Unavailable:
                    raise
                except Exception as error:
                    session.execute("ROLLBACK TO SAVEPOINT deed")
                    found.append(error)
                session.execute("RELEASE SAVEPOINT deed")
        return found

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """See `Store`."""
        if self._under_way is not None:
            yield self._under_way
            return
        with self._transaction(self.dialect.moment, "COMMIT") as session:
            yield session

    def since(self, mark: Mark) -> Changes | None:
        """See `Store`."""
        with self.reading() as session:
            there = not mark.number or session.execute(
                "SELECT 1 FROM audit WHERE number = ? AND request = ?", mark).fetchone()
            found = session.execute(
                "SELECT key, json_extract(coalesce(after, before), '$.name'), ended, number, request FROM audit "
                "WHERE number > ? ORDER BY number LIMIT ?", (mark.number, MOST + 1)).fetchall()
            if not there or len(found) > MOST:
                return None
            named = dict.fromkeys((id_.rpartition("_")[0], id_, name) for id_, name, *_ in found)
            rows = [self.find(PARTIES[kind], name) if kind in KINDS else self.find(KEYS, id_)
                    for kind, id_, name in named]
            parties = [row for row in rows if isinstance(row, Party)]
            with usable():
                return Changes(
                    tuple(made(row, behind(row.policy, self.numbers(row.policy))) for row in rows
                          if isinstance(row, Row)),
                    tuple(map(made_party, parties)),
                    frozenset(bytes.fromhex(each) for _, _, ended, *_ in found for each in (ended or "").split()),
                    tuple(party.number for party in parties if party.kind == "account"),
                    Mark(*found[-1][3:]) if found else mark)

    def find(self, table: Table[R], name: str) -> R | None:
        """See `Store`."""
        with self.reading() as session:
            found = session.execute(
                f"SELECT {table.columns} FROM {table.name} WHERE {table.by} = ? OR name = ? "
                f"ORDER BY {table.by} = ? DESC LIMIT 1", (name, name, name)).fetchone()
        return None if found is None else table.read(found)

    def named(self, table: Table[R], name: str) -> R | None:
        """See `Store`."""
        with self.reading() as session:
            found = session.execute(
                f"SELECT {table.columns} FROM {table.name} WHERE name = ?", (name,)).fetchone()
        return None if found is None else table.read(found)

    def name_of(self, id_: str) -> str | None:
        """See `Store`."""
        with self.reading() as session:
            found = session.execute(
                "SELECT json_extract(coalesce(after, before), '$.name') FROM audit WHERE key = ? ORDER BY number DESC "
                "LIMIT 1", (id_,)).fetchone()
        return None if found is None or found[0] is None else str(found[0])

    def page(self, table: Table[R], after: str, limit: int) -> list[R]:
        """See `Store`."""
        with self.reading() as session:
            return [table.read(each) for each in session.execute(
                f"SELECT {table.columns} FROM {table.name} WHERE {table.by} > ? ORDER BY {table.by} LIMIT ?",
                (after, limit))]

    def numbers(self, named: Mapping[str, Any]) -> Numbers:
        """See `Store`."""
        found = {(kind, named[kind]): self.find(PARTIES[kind], named[kind]) for kind in KINDS if kind in named}
        return {name: party.number for name, party in found.items() if party is not None}

    def key_of(self, kind: PartyKind, name: str) -> str | None:
        """See `Store`."""
        with self.reading() as session:
            found = session.execute(
                f"SELECT name FROM keys WHERE json_extract(policy, '$.{kind}') = ? LIMIT 1", (name,)).fetchone()
        return None if found is None else str(found[0])

    def change(self, table: Table[R], deed: Deed, change: Change[R], show: Show[R]) -> R | None:
        """See `Store`."""
        with self.writing() as session:
            before = self.find(table, deed.key)
            after = change(before)
            if after != before:
                known = after or before
                assert known is not None
                after = write(session, table, before, after)
                was, is_ = (None if each is None else show(each) for each in (before, after))
                ended = " ".join(each.hex() for each in digests(before) - digests(after))
                self.note(deed, (after or known).id, was, is_, ended)
        return after

    def note(self, deed: Deed, name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None,
             ended: str = "") -> None:
        """See `Store`. `ended` are digests, in hex."""
        assert self._under_way is not None
        shown = [None if each is None else dumped(each) for each in (before, after)]
        self._under_way.execute(
            "INSERT INTO audit (time, who, action, request, key, before, after, ended) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (time.time(), deed.who, deed.action, deed.request, name, *shown, ended or None))

    def audit(self, key: str | None, before: int | None, limit: int) -> list[Entry]:
        """See `Store`."""
        terms: list[str] = []
        values: list[Any] = []
        if key is not None:
            terms.append("(key = ? OR json_extract(coalesce(after, before), '$.name') = ?)")
            values += [key, key]
        if before is not None:
            terms.append("number < ?")
            values.append(before)
        where = f"WHERE {' AND '.join(terms)} " if terms else ""
        with self.reading() as session:
            return [entry(each) for each in session.execute(
                f"SELECT {ENTRY} FROM audit {where}ORDER BY number DESC LIMIT ?", (*values, limit))]


def write(session: Session, table: Table[R], before: R | None, after: R | None) -> R | None:
    """One in the place of the other. As it is then: a new party has its number. Taken."""
    if before is not None:
        session.execute(f"DELETE FROM {table.name} WHERE name = ?", (before.name,))
    if after is None:
        return None
    if session.execute(f"SELECT 1 FROM {table.name} WHERE name = ?", (after.name,)).fetchone() is not None:
        raise Taken(after.name)
    cells = {column: value for column, value in zip(table.columns.split(", "), table.cells(after), strict=True)
             if value is not None}                  # (a number that is not there is the database's to find)
    session.execute(f"INSERT INTO {table.name} ({', '.join(cells)}) VALUES ({', '.join('?' * len(cells))})",
                    tuple(cells.values()))
    if not isinstance(after, Party):
        return after
    number = session.execute(f"SELECT number FROM {table.name} WHERE name = ?", (after.name,)).fetchone()[0]
    return replace(after, number=number)


def mark_of(session: Session) -> Mark:
    """The audit's last entry."""
    found = session.execute("SELECT number, request FROM audit ORDER BY number DESC LIMIT 1").fetchone()
    return Mark() if found is None else Mark(*found)


@contextmanager
def usable() -> Iterator[None]:
    """What was written by somebody else, and can be no key, as Unavailable."""
    try:
        yield
    except (ValueError, TypeError, KeyError) as error:
        raise Unavailable(f"a key in it cannot be used ({error!r}): restore a backup") from error


def digests(row: Row | Party | None) -> frozenset[bytes]:
    """By which the directory finds it."""
    if row is None:
        return frozenset()
    if isinstance(row, Party):
        return frozenset({digest(row.kind, row.number)})
    return frozenset(filter(None, (row.secrets.digest, row.secrets.former)))


def pieces(session: Session, columns: str, table: str, by: str) -> Iterator[Any]:
    """All rows of a table in the order of a column, the first that is asked for: by pieces, as nobody waits for an
    answer without an end."""
    after = ""
    while found := session.execute(f"SELECT {by}, {columns} FROM {table} WHERE {by} > ? ORDER BY {by} LIMIT ?",
                                   (after, PIECE)).fetchall():
        for _, *cells in found:
            yield cells
        after = found[-1][0]


def entry(found: Sequence[Any]) -> Entry:
    """A row of the audit."""
    number, when, who, action, request, key, before, after = found
    shown = [None if each is None else json.loads(each) for each in (before, after)]
    return Entry(number, when, Deed(who, action, request, key), *shown)
