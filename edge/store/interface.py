"""What can be asked of a store, whichever database it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, TypeVar

from edge.store.rows import Deed, Entry
from edge.store.tables import R, Table
from edge.values.directory import Mark
from edge.values.parties import Numbers, PartyKind
from edge.values.snapshot import Key, StorePlace

T = TypeVar("T")
Show = Callable[[R], Mapping[str, Any]]     # how the audit shows a row: without digests
Change = Callable[[R | None], R | None]


class Changes(NamedTuple):
    """What has changed behind an entry of the audit: keys and parties as they are now, digests that are nobody's any
    more, the accounts among the parties by number, the last entry.
    """

    keys: tuple[Key, ...]
    parties: tuple[Key, ...]
    ended: frozenset[bytes]
    accounts: tuple[int, ...]
    mark: Mark


class Found(Protocol):
    """The rows that a statement gives."""

    def fetchone(self) -> Any:
        """The next one; None: there is none."""

    def fetchall(self) -> list[Any]:
        """All that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Session(Protocol):
    """What runs statements: in SQLite's words, with ? where values go."""

    def execute(self, statement: str, values: Sequence[Any] = ..., /) -> Found:
        """One statement."""

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> object:
        """An INSERT of each of the rows, no two of which have one place."""


class Store(Protocol):
    """What control asks for, in one thread. Everything may raise Unavailable, and then nothing has changed.

    It is opened, and the database migrated, when it is first needed; none is made where one is known to have been.
    """

    place: StorePlace

    @property
    def opened(self) -> int:
        """How often it was: what was read through another opening may be of another database."""

    def close(self) -> None:
        """The next call opens it again."""

    def listen(self) -> int:
        """The descriptor of a connection to which a word comes when another one has written: it can be read then. What
        has come before is taken. For stores that hosts share."""

    def exists(self) -> bool:
        """Whether there is a database, though it may be empty; False where it would be made."""

    def writing(self) -> AbstractContextManager[Session]:
        """A transaction that writes, all or nothing, and alone; of the newest version. Inside of another one that one.
        """

    def reading(self) -> AbstractContextManager[Session]:
        """A transaction that reads, all of one moment; inside of another one that one."""

    def since(self, mark: Mark) -> Changes | None:
        """What has changed behind that entry of the audit; None: too much, or there is no such entry."""

    def find(self, table: Table[R], name: str) -> R | None:
        """A row by what it is called for good, else by its name."""

    def named(self, table: Table[R], name: str) -> R | None:
        """A row by its name alone."""

    def name_of(self, id_: str) -> str | None:
        """Of what was called so for good, and may be there no more."""

    def each(self, deeds: Sequence[Callable[[], T]]) -> list[T | Exception]:
        """What each gives, or raises; then it has changed nothing. All in one transaction, which is there or is not."""

    def page(self, table: Table[R], after: str, limit: int) -> list[R]:
        """The next rows behind one, in the order of what they are called for good."""

    def change(self, table: Table[R], deed: Deed, change: Change[R], show: Show[R]) -> R | None:
        """In one transaction: the row of `deed` as it is goes to `change`, which gives what is to be of it (None:
        nothing), and the audit gets its entry. What `change` raises goes through, and nothing has changed. Taken.
        """

    def note(self, deed: Deed, name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
        """An entry of the audit, of what is called so for good, in the transaction that is under way."""

    def numbers(self, named: Mapping[str, Any]) -> Numbers:
        """Of the parties whose names by kind are in `named`, as far as there are such."""

    def key_of(self, kind: PartyKind, name: str) -> str | None:
        """The name of a key behind which this party stands; None: there is no such key."""

    def audit(self, key: str | None, before: int | None, limit: int) -> list[Entry]:
        """The last entries, the newest first: of an id, or of all that had a name, and older than a number, where
        these are given.
        """
