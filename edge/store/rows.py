"""What is in the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge.values.parties import PartyKind
from edge.values.snapshot import KeyState


class Unavailable(Exception):
    """The database cannot be used: locked, full, gone, damaged, or of a newer version. Its text is for people."""


GONE = "it was there, and is gone: put a backup in its place by `edge store restore`"


class Taken(Exception):
    """Another one has this name."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Digests of a key's secret, and of the one before its last rotation, which works until then (Unix time)."""

    digest: bytes
    former: bytes | None = None
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """A key. `policy` has the settings of a key in a configuration's file, checked as there, and the names of who
    stands behind it, by kind; times are Unix times.
    """

    id: str
    name: str
    masked: str                             # the secret's ends, to know it by
    secrets: Secrets
    state: KeyState = "active"
    policy: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    version: int = 1
    created: float = 0.0
    changed: float = 0.0


@dataclass(frozen=True, slots=True)
class Party:
    """Who stands behind keys. `number` is its own for ever, and no other's; 0: it has none before it is written."""

    kind: PartyKind
    name: str
    number: int = 0
    state: str = "active"
    policy: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    version: int = 1
    created: float = 0.0
    changed: float = 0.0

    @property
    def id(self) -> str:
        """What the audit calls it."""
        return f"{self.kind}_{self.number}"


@dataclass(frozen=True, slots=True)
class Deed:
    """Who does what, by which request, to what (a name or an id): an entry of the audit before it is written."""

    who: str
    action: str
    request: str
    key: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the audit. `before` is None for what was made, `after` for what was deleted."""

    number: int
    time: float
    deed: Deed
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
