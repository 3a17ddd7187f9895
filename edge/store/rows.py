"""What is in the store, and what can be asked of one, whichever database it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from edge.values.snapshot import KeyState


class Unavailable(Exception):
    """The database cannot be used: locked, full, gone, damaged, or of a newer version. Its text is for people."""


class Taken(Exception):
    """Another key has this name."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Digests of a key's secret, and of the one before its last rotation, which works until then (Unix time)."""

    digest: bytes
    former: bytes | None = None
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """A key. `policy` has the settings of a key in a configuration's file, checked as there; times are Unix times."""

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
class Deed:
    """Who does what, by which request, to which key: an entry of the audit before it is written."""

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


Show = Callable[[Row], Mapping[str, Any]]   # how the audit shows a key: without its digests
Change = Callable[[Row | None], Row | None]


class Store(Protocol):
    """What control asks for. Everything may raise Unavailable, and then nothing has changed."""

    def key(self, name: str) -> Row | None:
        """A key by its id, else by its name."""

    def keys(self, after: str, limit: int) -> list[Row]:
        """The next keys behind an id, by id."""

    def change(self, deed: Deed, change: Change, show: Show) -> Row | None:
        """In one transaction: the key of `deed` as it is goes to `change`, which gives what is to be of it (None:
        nothing), and the audit gets its entry. What `change` raises goes through, and nothing has changed. Taken.
        """

    def audit(self, key: str | None, before: int | None, limit: int) -> list[Entry]:
        """The last entries, the newest first: of a key's id, or of all keys that had a name, and older than a
        number, where these are given.
        """
