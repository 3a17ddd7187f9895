"""What can be asked of a store, whichever database it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from edge.store.rows import Deed, Entry
from edge.store.tables import R, Table
from edge.values.parties import Numbers, PartyKind

Show = Callable[[R], Mapping[str, Any]]     # how the audit shows a row: without digests
Change = Callable[[R | None], R | None]


class Store(Protocol):
    """What control asks for. Everything may raise Unavailable, and then nothing has changed."""

    def find(self, table: Table[R], name: str) -> R | None:
        """A row by what it is called for good, else by its name."""

    def page(self, table: Table[R], after: str, limit: int) -> list[R]:
        """The next rows behind one, in the order of what they are called for good."""

    def change(self, table: Table[R], deed: Deed, change: Change[R], show: Show[R]) -> R | None:
        """In one transaction: the row of `deed` as it is goes to `change`, which gives what is to be of it (None:
        nothing), and the audit gets its entry. What `change` raises goes through, and nothing has changed. Taken.
        """

    def numbers(self, named: Mapping[str, Any]) -> Numbers:
        """Of the parties whose names by kind are in `named`, as far as there are such."""

    def key_of(self, kind: PartyKind, name: str) -> str | None:
        """The name of a key behind which this party stands; None: there is no such key."""

    def audit(self, key: str | None, before: int | None, limit: int) -> list[Entry]:
        """The last entries, the newest first: of an id, or of all that had a name, and older than a number, where
        these are given.
        """
