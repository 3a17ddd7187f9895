"""What each kind of party may say of its keys, checked; and what becomes of its state."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from edge._fast import KINDS_OF_LIMITS
from edge.control.keys import asked
from edge.control.keys.changes import Wanted, changed, invalid
from edge.dialects.routes import NAMES
from edge.store import Party
from edge.store.keys import CONCURRENT, PERIODS
from edge.values.parties import PartyKind

LONGEST = 48                # characters of a name: with its kind in front it is the name of a limit
MOST = (1 << 31) - 1        # of a quota
OWN = ("metadata",)
FEATURES = tuple(name for name in NAMES if name not in ("health", "livez", "readyz"))
UNITS = tuple(kind for kind in KINDS_OF_LIMITS if kind != CONCURRENT)
APART = ("providers", "features", "quota")      # what no key has


@dataclass(frozen=True, slots=True)
class Rules:
    """`fields` are a policy's. `off` is the state in which its keys serve nobody, `actions` lead there and back."""

    fields: tuple[str, ...]
    off: str
    actions: tuple[str, str]


RULES: Mapping[PartyKind, Rules] = {
    "account": Rules(("rate_limit", "denied_addresses"), "suspended", ("suspend", "resume")),
    "user": Rules((), "banned", ("ban", "unban")),
    "group": Rules(("rate_limit", "models", "denied_models", "providers"), "disabled", ("disable", "enable")),
    "workspace": Rules(("features", "quota"), "disabled", ("disable", "enable")),
}


def wanted(row: Party, said: Mapping[str, Any], providers: Collection[str]) -> Party:
    """The row with what is said: a member replaces the one of its name, null takes it out (RFC 7396)."""
    rules = RULES[row.kind]
    fields = sorted((*rules.fields, *OWN))
    for field in said:
        if field in ("name", "state", "number"):
            raise invalid(field, "cannot be set", f"a POST to {' or '.join(rules.actions)} changes the state; name and "
                          "number stay")
        asked.only((field,), fields)
    if isinstance(row.name, str) and len(row.name) > LONGEST:
        raise invalid("name", f"is longer than {LONGEST} characters", "shorten it")
    policy = asked.merged(row.policy, {field: value for field, value in said.items() if field not in OWN})
    policy = {field: value for field, value in policy.items() if value != {}}       # its last member was taken out
    asked.checked(row.name, {field: value for field, value in policy.items() if field not in APART})
    _providers(policy.get("providers", []), providers)
    _features(policy.get("features", {}))
    _quota(policy.get("quota", {}))
    metadata = asked.metadata(Wanted({}, row.metadata, ()), said)
    return changed(row, policy=policy, metadata=metadata)


def _providers(value: Any, known: Collection[str]) -> None:
    if not isinstance(value, list):
        raise invalid("providers", "must be a list of names", f"for example {[*known][:2]}")
    for position, name in enumerate(value):
        if name not in known:
            raise invalid(f"providers[{position}]", "is no provider of the configuration",
                          f"there are: {', '.join(sorted(known))}")


def _features(value: Any) -> None:
    if not isinstance(value, dict):
        raise invalid("features", "must be a mapping of routes to true or false", 'for example {"embeddings": false}')
    for name, on in value.items():
        if name not in FEATURES:
            raise invalid(f"features.{name}", "is no route", f"there are: {', '.join(FEATURES)}")
        if not isinstance(on, bool):
            raise invalid(f"features.{name}", "must be true or false", "false switches it off")


def _quota(value: Any) -> None:
    example = 'for example {"period": "day", "requests": 10000, "tokens": 5000000}'
    if not isinstance(value, dict):
        raise invalid("quota", "must be a mapping", example)
    for name, most in value.items():
        if name == "period" and most not in (*PERIODS,):        # (it may be a list, which no key of a mapping is)
            raise invalid("quota.period", f"must be {' or '.join(PERIODS)}", example)
        asked.only((name,), ("period", *UNITS), "quota.")
        if name != "period" and (isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= MOST):
            raise invalid(f"quota.{name}", f"must be a whole number from 1 to {MOST}", example)
    if value and not value.keys() & {*UNITS}:
        raise invalid("quota", "says of nothing how much there may be", example)


def moved(row: Party, action: str) -> Party:
    """After one of its kind's actions."""
    rules = RULES[row.kind]
    return changed(row, state=rules.off if action == rules.actions[0] else "active")
