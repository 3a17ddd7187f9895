"""Keys of the configuration's file that are in the store, too: by their name, or by their secret."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from edge.store.opening import moment
from edge.values.snapshot import Key, StorePlace

QUESTION = "SELECT name, id FROM keys WHERE name = ? OR digest = ? OR former = ? ORDER BY name = ? DESC LIMIT 1"


class Clash(NamedTuple):
    """The place of a key in the file, and the name and id of the one in the store."""

    place: int
    name: str
    id: str


def clashes(place: StorePlace, keys: Sequence[Key]) -> Iterator[Clash]:
    """All of them. Unavailable: the store cannot be read."""
    with moment(place) as session:
        if session is None:
            return
        session.execute("SELECT 1 FROM keys LIMIT 1").fetchone()        # also where the file has none
        for index, key in enumerate(keys):
            found = session.execute(QUESTION, (key.name, key.digest, key.digest, key.name)).fetchone()
            if found is not None:
                yield Clash(index, *found)
