"""The tables of what admins make: how a row of ours is one of the database."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from orjson import loads

from edge.store.rows import Party, Row, Secrets
from edge.values.parties import KINDS, PartyKind

R = TypeVar("R", Row, Party)


@dataclass(frozen=True, slots=True)
class Table(Generic[R]):
    """`what` is in it. `by` is the column that pages are ordered by, and that names a row for good."""

    what: str
    name: str
    by: str
    columns: str
    read: Callable[[Sequence[Any]], R]
    cells: Callable[[R], tuple[Any, ...]]


def _key(found: Sequence[Any]) -> Row:
    id_, name, masked, digest, former, until, state, policy, metadata, tags, *rest = found
    return Row(id_, name, masked, Secrets(digest, former, until), state, loads(policy), loads(metadata),
               tuple(loads(tags)), *rest)


def _key_cells(of: Row) -> tuple[Any, ...]:
    secrets = of.secrets
    return (of.id, of.name, of.masked, secrets.digest, secrets.former, secrets.until, of.state, dumped(of.policy),
            dumped(of.metadata), json.dumps(of.tags), of.version, of.created, of.changed)


def _party(kind: PartyKind, found: Sequence[Any]) -> Party:
    number, name, state, policy, metadata, *rest = found
    return Party(kind, name, number, state, loads(policy), loads(metadata), *rest)


def _party_cells(of: Party) -> tuple[Any, ...]:
    return (of.number or None, of.name, of.state, dumped(of.policy), dumped(of.metadata), of.version, of.created,
            of.changed)


def dumped(value: Mapping[str, Any]) -> str:
    """JSON."""
    return json.dumps(value, separators=(",", ":"))


KEYS: Table[Row] = Table(
    "key", "keys", "id",
    "id, name, masked, digest, former, until, state, policy, metadata, tags, version, created, changed",
    _key, _key_cells)
PARTIES: Mapping[PartyKind, Table[Party]] = {
    kind: Table(kind, f"{kind}s", "name", "number, name, state, policy, metadata, version, created, changed",
                partial(_party, kind), _party_cells) for kind in KINDS}
