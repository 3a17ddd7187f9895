"""Which database it is, by its place. PostgreSQL's client is an extra, which who has a file needs not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

from edge.store import sqlite
from edge.store.interface import Session, Store
from edge.store.rows import Unavailable
from edge.values.snapshot import StorePlace


def opened(place: StorePlace, known: Callable[[], bool] = lambda: False) -> Store:
    """The store, for one thread; `known` says whether keys of it are in force. Unavailable: it has no client here."""
    if place.url is None:
        return sqlite.SQLite(place, known)
    made: Store = postgresql().PostgreSQL(place, known)
    return made


@contextmanager
def moment(place: StorePlace) -> Iterator[Session | None]:
    """What reads a store as it is at one moment; None: there is none, or nothing in it. An older one is not changed.
    Unavailable."""
    with sqlite.moment(place.name) if place.url is None else postgresql().moment(place) as session:
        yield session


def lost(place: StorePlace) -> bool:
    """Whether there is no store in its place, or nothing in it. Unavailable."""
    found: bool = sqlite.lost(place.name) if place.url is None else postgresql().lost(place)
    return found


def postgresql() -> ModuleType:
    """Unavailable: what it needs is not installed."""
    try:
        from edge.store import postgresql as found
    except ImportError:
        raise Unavailable("psycopg, by which PostgreSQL is spoken to, is not installed: "
                          "pip install 'edge-gateway[postgresql]'") from None
    return found
