"""What becomes of a key: a row of the store as it was -> as it is to be, or a Refusal."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from edge._fast import Condition, Slot
from edge.config import keys
from edge.control.refusal import Refusal
from edge.store import Party, Row, Secrets, Store
from edge.store.tables import R
from edge.values.moments import moment
from edge.values.parties import KINDS
from edge.values.snapshot import KeyState, Secret

T = TypeVar("T")
ENDS = 7, 4                     # characters of a secret that are shown: `sk-` and four, and four
OVERLAP = 86400.0               # seconds, unless said
# What an action makes of a key, and from where; what else it must be first is told.
STATES: Mapping[str, tuple[tuple[KeyState, ...], KeyState]] = {
    "revoke": (("active", "disabled", "frozen", "revoked"), "revoked"),
    "freeze": (("active", "frozen"), "frozen"),
    "unfreeze": (("frozen", "active"), "active"),
    "disable": (("active", "disabled"), "disabled"),
    "enable": (("disabled", "active"), "active"),
}
FIRST = {"frozen": "unfreeze it first", "disabled": "enable it first", "revoked": "that is for good, make a new one",
         "active": "freeze or disable it first"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an admin says of a key, checked."""

    policy: Mapping[str, Any]
    metadata: Mapping[str, str]
    tags: tuple[str, ...]


def fresh(key_secret: Secret | None) -> tuple[str, bytes, str]:
    """A new secret, its digest, and what of it is shown."""
    secret = keys.generate()
    begin, end = ENDS
    return secret, keys.digest(secret, key_secret), f"{secret[:begin]}...{secret[-end:]}"


def identifier() -> str:
    """A new key's id."""
    return f"key_{secrets.token_hex(12)}"


def there(row: T | None, what: str, name: str) -> T:
    """The row, which must be there."""
    if row is None:
        raise Refusal(Condition.resource_missing, {Slot.S_FIELD: what, Slot.S_GOT: name[:64]})
    return row


def a(what: str) -> str:
    """With its article."""
    return f"{'an' if what[0] in 'aeio' else 'a'} {what}"       # (and a user)


def backed(policy: Mapping[str, Any], store: Store) -> None:
    """Who is to stand behind a key must be there."""
    numbers = store.numbers(policy)
    for kind in KINDS:
        name = policy.get(kind)
        if name is not None and (kind, name) not in numbers:
            raise invalid(kind, f"there is no {kind} {name}", f"make it first: edge {kind}s create {name}")


def invalid(field: str, message: str, way_out: str) -> Refusal:
    """A field that cannot be used."""
    refusal = Refusal(Condition.setting_invalid, {Slot.S_FIELD: field[:100], Slot.S_REASON: f"{message} - {way_out}"})
    refusal.beside = {"problems": [{"field": field[:100], "message": message, "way_out": way_out}]}
    return refusal


def expected(row: Row | Party, versions: frozenset[int] | None) -> None:
    """It must be of one of these versions, where If-Match gives any."""
    if versions is not None and row.version not in versions:
        refusal = Refusal(Condition.settings_conflict)
        refusal.beside = {"version": row.version}
        raise refusal


def changed(row: R, **fields: Any) -> R:
    """The row with these, as its next version; the same one where nothing is different."""
    after = replace(row, **fields)
    return row if after == row else replace(after, version=row.version + 1, changed=time.time())


def moved(row: Row, action: str) -> Row:
    """After an action of STATES."""
    origins, state = STATES[action]
    if row.state not in origins:
        raise conflict(f"The key is {row.state}: {FIRST[row.state]}")
    return changed(row, state=state)


def rotated(row: Row, digest: bytes, masked: str, overlap: float) -> Row:
    """With a new secret; the one before works for that many seconds more."""
    now = time.time()
    if row.state == "revoked":
        raise conflict(f"The key is revoked: {FIRST['revoked']}")
    if row.secrets.former is not None and row.secrets.until > now:
        refusal = Refusal(Condition.key_rotation_pending)
        refusal.beside = {"pending_until": moment(row.secrets.until)}
        raise refusal
    pair = Secrets(digest, row.secrets.digest, now + overlap) if overlap else Secrets(digest)
    return changed(row, secrets=pair, masked=masked)


def conflict(reason: str) -> Refusal:
    """What does not go with what is there."""
    return Refusal(Condition.resource_conflict, {Slot.S_REASON: reason})
