"""All keys of a store, and who stands behind them, put into the directory one after the other.

There may be a million: they are never in memory all at once, and what many have in common is read once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from orjson import dumps, loads

from edge._fast import KEY_STATES, KeyRow, Slab
from edge.store.interface import Session
from edge.store.keys import made_party, terms
from edge.store.keys import moment as time_of
from edge.store.opening import moment
from edge.store.rows import GONE, Unavailable
from edge.store.sql import mark_of, pieces, usable
from edge.store.tables import PARTIES
from edge.values import directory
from edge.values.directory import Directory, Mark, Terms
from edge.values.parties import KINDS, Numbers, behind
from edge.values.snapshot import Key, StorePlace

MOST = 65536                # policies that are remembered meanwhile
COLUMNS = "name, digest, former, until, state, policy"
STATES = {name: number for number, name in enumerate(KEY_STATES)}


Limits = tuple[Terms | None, ...]
Common = tuple[bytes, Limits]                               # a policy's text
Said = tuple[bytes, Limits, float, tuple[int, ...]]         # and an end, and who stands behind


class Policies:
    """What the store says of keys, as the directory has it."""

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers
        self.known: dict[str, Said] = {}
        self.common: dict[bytes, Common] = {}

    def of(self, policy: str) -> Said:
        """ValueError, TypeError, KeyError: no check has let it in."""
        found = self.known.get(policy)
        if found is None:
            if len(self.known) >= MOST:
                self.known.clear()
            found = self.known[policy] = self._made(policy)
        return found

    def _made(self, policy: str) -> Said:
        said = loads(policy)
        expires, parties = said.pop("expires", None), behind(said, self.numbers)
        for kind in KINDS:
            said.pop(kind, None)
        name = dumps(said)
        common = self.common.get(name)
        if common is None:
            key = Key(name="", digest=b"", **terms(said))
            if len(self.common) >= MOST:
                self.common.clear()
            common = self.common[name] = directory.text(key), directory.terms(key)
        return *common, 0.0 if expires is None else time_of(expires), parties


@dataclass(frozen=True, slots=True)
class Stored:
    """A store at one moment: what admins had done then, who stands behind keys, and the rows of all keys, read once."""

    mark: Mark
    parties: list[Key]
    rows: Iterator[tuple[KeyRow, Limits]]
    digests: Callable[[], frozenset[bytes]]     # of all these


@contextmanager
def stored(place: StorePlace, known: bool = False) -> Iterator[Stored]:
    """Where there is no store, or nothing in it, there are none; an older one is not changed.

    Unavailable, also while its rows are read: it cannot be read, or is lost while keys of it are `known`.
    """
    with moment(place) as session:
        if session is None:
            if known:
                raise Unavailable(GONE)
            yield Stored(Mark(), [], iter(()), frozenset)
            return
        parties = [table.read(each) for table in PARTIES.values() for each in pieces(
            session, table.columns, table.name, table.by)]
        numbers: dict[tuple[str, str], int] = {(party.kind, party.name): party.number for party in parties}
        with usable():
            behind_keys = list(map(made_party, parties))
        policies = Policies(numbers)
        yield Stored(mark_of(session), behind_keys, key_rows(session, policies), lambda: frozenset(
            row.digest for row, _ in key_rows(session, policies)))


def key_rows(session: Session, policies: Policies) -> Iterator[tuple[KeyRow, Limits]]:
    """Of each secret, with the limits of its key."""
    with usable():
        for name, digest, former, until, state, policy in pieces(session, COLUMNS, "keys", "id"):
            text, limits, end, parties = policies.of(policy)
            yield KeyRow(digest, name, text, STATES[state], end, (), False, parties), limits
            if former is not None:
                yield KeyRow(former, name, text, STATES[state], min(end or until, until), (), True, parties), limits


def fill(place: StorePlace, slab: Slab, known: bool = False) -> Mark:
    """The directory has what the store has, and nothing else. Unavailable, see `stored`. DirectoryFull."""
    parties, keys = Directory(slab, directory.PARTIES), Directory(slab, directory.STORE)
    with stored(place, known) as found:
        for party in found.parties:             # before the keys behind which they stand
            parties.put(party)
        count = 0
        for row, limits in found.rows:
            keys.put_row(row, limits)
            count += 1
        if len(keys.rows) > count:              # some are there no more
            keys.keep(found.digests())
        parties.keep(directory.digests(*found.parties))
        return found.mark
