"""What each kind of party may say of its keys, checked; and what becomes of its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge.control.keys import asked
from edge.control.keys.changes import Wanted, changed, invalid
from edge.store import Party
from edge.values.parties import PartyKind

LONGEST = 48                # characters of a name: with its kind in front it is the name of a limit
OWN = ("metadata",)


@dataclass(frozen=True, slots=True)
class Rules:
    """`fields` are a policy's. `off` is the state in which its keys serve nobody, `actions` lead there and back."""

    fields: tuple[str, ...]
    off: str
    actions: tuple[str, str]


RULES: Mapping[PartyKind, Rules] = {
    "account": Rules(("denied_addresses",), "suspended", ("suspend", "resume")),
}


def wanted(kind: PartyKind, name: Any, before: Wanted, said: Mapping[str, Any]) -> Wanted:
    """`before` with what is said: a member replaces the one of its name, null takes it out (RFC 7396)."""
    rules = RULES[kind]
    for field in said:
        if field in ("name", "state", "number"):
            raise invalid(field, "cannot be set", f"a POST to {' or '.join(rules.actions)} changes the state; name and "
                          "number stay")
        if field not in (*rules.fields, *OWN):
            raise invalid(field, "is not a known key", f"there are: {', '.join(sorted((*rules.fields, *OWN)))}")
    if isinstance(name, str) and len(name) > LONGEST:
        raise invalid("name", f"is longer than {LONGEST} characters", "shorten it")
    policy = asked.merged(before.policy, {field: value for field, value in said.items() if field not in OWN})
    asked.checked(name, policy)
    return Wanted(policy, asked.metadata(before, said), ())


def moved(row: Party, action: str) -> Party:
    """After one of its kind's actions."""
    rules = RULES[row.kind]
    return changed(row, state=rules.off if action == rules.actions[0] else "active")
