"""Keys as rows of the directory: what is a key's own in the row, what many have in common in a policy, as text.

A version of the configuration holds no keys in workers and control: the supervisor writes those of the file, when a
version comes into force only what differs, and everybody looks them up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import orjson

from edge import _fast
from edge._fast import (
    FILE_BUCKETS,
    KEY_STATES,
    KINDS_OF_LIMITS,
    MAX_KEYS,
    MAX_LIMITS,
    PARTY_BUCKETS,
    KeyRow,
    Slab,
    Source,
)
from edge.values import parties
from edge.values.hours import Hours
from edge.values.parties import PartyKind
from edge.values.snapshot import Key, Limit, Minute

FILE, STORE, PARTIES = Source.FILE, Source.STORE, Source.PARTIES
CONCURRENT = KINDS_OF_LIMITS[-1]

_OWN = {"name", "digest", "state", "expires", "former", "parties"}
_SHARED = [field.name for field in fields(Key) if field.name not in _OWN]

Terms = tuple[float, int] | int     # rate and burst; of concurrent requests how many


class DirectoryFull(ValueError):
    """There are more keys, or limits of keys, than the shared memory has room for."""


class Mark(NamedTuple):
    """An entry of the audit, up to which a store is known: in another store, or a copy put back, there is no such one.
    """

    number: int = 0
    request: str = ""


@dataclass(frozen=True, slots=True)
class KeyLimit:
    """A limit of a key: its name among hosts, its bucket's index, what it counts, how many a full one holds."""

    name: str
    index: int
    kind: str
    most: int
    terms: Terms

    @property
    def owner(self) -> str:
        """As others call who has limits: `key:` and its name, say."""
        return self.name.rpartition("@")[2]


def text(key: Key) -> bytes:
    """The policy of a key."""
    return orjson.dumps({name: getattr(key, name) for name in _SHARED}, default=sorted)


def policy(data: bytes, **own: Any) -> Key:
    """A key of that policy; `own` is what is its own. What another version says that we do not know is left out.

    (While an upgrade drains, workers of the version before read what the next one writes.)
    """
    said = {name: value for name, value in orjson.loads(data).items() if name in _SHARED}
    limit, minute = said.pop("limit"), said.pop("minute")
    minute["units"] = tuple(map(tuple, minute["units"]))
    hours = tuple(Hours(**{**each, "days": frozenset(each["days"])}) for each in said.pop("hours"))
    lists = {name: tuple(value) for name, value in said.items() if isinstance(value, list)}
    return Key(**{"name": "", "digest": b"", **own, **said, **lists}, hours=hours, minute=Minute(**minute),
               limit=Limit(**limit) if limit else None)


def numbers(key: Key) -> list[tuple[int, str, int, Terms]]:
    """The limits of a key: the number of its bucket in the row, what it counts, units of a full one, terms."""
    found: list[tuple[int, str, int, Terms]] = []
    if key.concurrent_requests:
        found.append((len(KINDS_OF_LIMITS), CONCURRENT, key.concurrent_requests, key.concurrent_requests))
    if key.limit is not None and key.limit.rate:
        found.append((0, "requests", key.limit.burst, (key.limit.rate, key.limit.burst)))
    found += [(1 + KINDS_OF_LIMITS.index(kind), kind, units, (units / key.minute.seconds, units))
              for kind, units in key.minute.units if units]
    return found


def secrets(key: Key) -> Iterator[tuple[bytes, float, bool]]:
    """The digests of a key, each with its end and whether it is of the secret from before a rotation."""
    end = key.expires or 0.0
    yield key.digest, end, False
    if key.former is not None:
        yield key.former.digest, min(end or key.former.until, key.former.until), True


def digests(*keys: Key) -> frozenset[bytes]:
    """Of all their secrets."""
    return frozenset(digest for key in keys for digest, _, _ in secrets(key))


def terms(key: Key) -> tuple[Terms | None, ...]:
    """Of the limits of a key, by number of its row's buckets; None: it has no such limit."""
    found: list[Terms | None] = [None] * (len(KINDS_OF_LIMITS) + 1)
    for number, _, _, each in numbers(key):
        found[number] = each
    return tuple(found)


def shown(row: KeyRow) -> Key:
    """The key of a row."""
    return policy(row.policy, name=row.name, digest=row.digest, state=KEY_STATES[row.state],
                  expires=row.expires or None, parties=row.parties)


class Directory:
    """The keys of one source, for its writer: of FILE the supervisor is that, of STORE and PARTIES control.

    What a writer that was killed has left half done is made good first; not by who only asks, as another process may be
    writing just then.
    """

    def __init__(self, slab: Slab, source: Source, *, writes: bool = True) -> None:
        self.rows = _fast.Directory(slab, source)
        if writes:
            self.rows.repair()

    @property
    def generation(self) -> int:
        """Grows with each change."""
        return self.rows.generation

    def put(self, key: Key) -> bool:
        """Whether anything was to do: on all workers the key is what this says from now on. DirectoryFull.

        Keys of one name have their limits in common.
        """
        said = key.name, text(key), KEY_STATES.index(key.state)
        limits = terms(key)
        changed = [self.put_row(KeyRow(digest, *said, end, (), former, key.parties), limits)
                   for digest, end, former in secrets(key)]
        return any(changed)

    def put_row(self, row: KeyRow, limits: Sequence[Terms | None]) -> bool:
        """The same of one secret, made before. DirectoryFull."""
        try:
            return self.rows.put(row, limits)
        except OverflowError as error:
            raise DirectoryFull(str(error)) from None

    def remove(self, digest: bytes) -> bool:
        """Whether it was there: no worker takes the key from now on."""
        return self.rows.remove(digest)

    def settle(self, name: str, keys: Iterable[Key]) -> None:
        """Of that name there are these, and no others. DirectoryFull."""
        wanted = list(keys)
        for key in wanted:
            self.put(key)
        for digest in frozenset(self.rows.digests_of(name)) - digests(*wanted):
            self.remove(digest)

    def keep(self, digests: frozenset[bytes]) -> int:
        """Removes all others. How many there were."""
        return sum(self.remove(digest) for digest in self.rows.digests() if digest not in digests)

    def check(self, keys: Iterable[Key], rows: int = 0, wanted: int = 0) -> None:
        """DirectoryFull: they would not fit in, beside so many rows and limits. ValueError: a limit is none."""
        keys = list(keys)
        if rows + 2 * len(keys) + len(self.rows) > MAX_KEYS:
            raise DirectoryFull(f"there is room for {MAX_KEYS} keys")
        for key in keys:
            wanted += len(numbers(key))
            for _, _, _, terms in numbers(key):
                if isinstance(terms, tuple):
                    self.rows.slab.terms(*terms)
        if wanted > self.rows.free_limits and wanted - self._held(keys) > self.rows.free_limits:
            raise DirectoryFull(f"there is room for {self.rows.free_limits} more limits of keys")

    def _held(self, keys: list[Key]) -> int:
        """How many of the limits of these keys have a bucket."""
        rows = {row.name: row for row in self.rows}
        return sum(bool(rows[key.name].buckets[number]) for key in keys if key.name in rows
                   for number, _, _, _ in numbers(key))


def keys(slab: Slab) -> Iterator[Key]:
    """All keys of all sources, each once."""
    for source in (FILE, STORE):
        yield from file_keys(slab, source)


def file_keys(slab: Slab, source: Source = FILE) -> Iterator[Key]:
    """The keys of the file, or of another source."""
    return (shown(row) for row in _fast.Directory(slab, source) if not row.former)


def named(slab: Slab, name: str, sources: Iterable[Source] = (FILE, STORE)) -> KeyRow | None:
    """The row of a key of that name."""
    return next(filter(None, (_fast.Directory(slab, source).named(name) for source in sources)), None)


def party(slab: Slab, kind: PartyKind, number: int) -> KeyRow | None:
    """The row of who stands behind keys, by number."""
    return _fast.Directory(slab, PARTIES).find(parties.digest(kind, number)) if number else None


def limits(row: KeyRow, source: Source = FILE) -> list[KeyLimit]:
    """The limits of a row's key, or party (whose kind is in its name)."""
    found, owner = [], row.name if source == PARTIES else f"key:{row.name}"
    for number, kind, most, terms in numbers(policy(row.policy)):
        name = owner if number == 0 else f"{kind}@{owner}"
        found.append(KeyLimit(name, row.buckets[number], kind, most, terms))
    return found


def mark(slab: Slab, index: int) -> int:
    """Names the limit that a bucket of keys is for; another number when that has changed; 0: it is for none."""
    return _fast.Directory(slab, _source(index)).mark(index)


def marked(slab: Slab, index: int, mark: int) -> KeyLimit | None:
    """The limit of such a mark; None: there is another one by now."""
    source = _source(index)
    row = _fast.Directory(slab, source).marked(mark)
    return next((each for each in limits(row, source) if each.index == index), None) if row else None


def _source(index: int) -> Source:
    behind = index - MAX_LIMITS - FILE_BUCKETS
    return FILE if behind < 0 else PARTIES if behind < PARTY_BUCKETS else STORE


def all_said(slab: Slab) -> int:
    """Another number, in all likelihood, where keys of other names or with other limits are in the directory."""
    return sum(_fast.Directory(slab, source).limits for source in (FILE, STORE, PARTIES)) % 2**64


def all_limits(slab: Slab) -> Iterator[KeyLimit]:
    """The limits of all keys, and of who stands behind them."""
    for source in (FILE, STORE, PARTIES):
        for row in _fast.Directory(slab, source):
            if not row.former:
                yield from limits(row, source)
