"""Who stands behind keys: accounts, users, groups and workspaces, as rows of the directory of a source of their own.

What a party says of its keys is what a key may say of itself, so its row is a key's without a secret: under the digest
of its number, which it keeps as long as it lives and no other gets, and which keys' rows have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from edge._fast import Party, party_digest

PartyKind = Literal["account", "user", "group", "workspace"]

KINDS: tuple[PartyKind, ...] = get_args(PartyKind)      # by the numbers of Party
Numbers = Mapping[tuple[str, str], int]                 # of parties, by kind and name


def name(kind: PartyKind, of: str) -> str:
    """What its limits are called among hosts."""
    return f"{kind}:{of}"


def digest(kind: PartyKind, number: int) -> bytes:
    """What its row is found by."""
    return party_digest(KINDS.index(kind), number)


def behind(named: Mapping[str, str], numbers: Numbers) -> tuple[int, ...]:
    """A key's parties as its row has them, of their names by kind. KeyError: there is no such party."""
    return tuple(numbers[kind, named[kind]] if kind in named else 0 for kind in KINDS)


assert tuple(kind.upper() for kind in KINDS) == tuple(party.name for party in Party if party is not Party.N_PARTIES)
