"""A row of the store made into a key or a party of the snapshot, as the configuration makes keys of its file's.

Policies were checked by the configuration's own code before they came in, so that nothing of it is needed to read them:
whoever is to know of a change at once does not wait for a check of all the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from edge._fast import KINDS_OF_LIMITS
from edge.dialects.routes import NAMES as ROUTES
from edge.store.rows import Party, Row
from edge.values import hours, points
from edge.values.parties import digest, name
from edge.values.snapshot import Former, Key, Limit, Minute

PRIORITIES = ("high", "normal", "low")
CONCURRENT = "concurrent_requests"
LISTS = ("allowed_addresses", "denied_addresses", "models", "denied_models", "scopes", "providers")
PERIODS = {"day": 86400.0, "month": 30 * 86400.0}       # of a quota


def made(row: Row, parties: tuple[int, ...]) -> Key:
    """The key, and the numbers of who stands behind it. ValueError, TypeError, KeyError: no check has let it in."""
    return Key(
        name=row.name, digest=row.secrets.digest, state=row.state, parties=parties, **terms(row.policy),
        former=Former(row.secrets.former, row.secrets.until) if row.secrets.former is not None else None)


def made_party(row: Party) -> Key:
    """What a party says of its keys. The same errors."""
    return Key(name=name(row.kind, row.name), digest=digest(row.kind, row.number),
               state="active" if row.state == "active" else "disabled", **terms(row.policy))


def terms(policy: Mapping[str, Any]) -> dict[str, Any]:
    """What a policy says, as fields of a Key."""
    limits: Mapping[str, Any] = policy.get("rate_limit", {})
    rate = limits.get("requests_per_second", 0.0)
    expires = policy.get("expires")
    quota: Mapping[str, Any] = policy.get("quota", {})
    off = {route for route, on in policy.get("features", {}).items() if not on}
    return {
        "limit": Limit(rate, limits.get("burst_size") or max(1, math.ceil(rate))) if rate else None,
        "minute": quota_of(quota) if quota else minute(limits), "concurrent_requests": limits.get(CONCURRENT, 0),
        "expires": None if expires is None else moment(expires),
        "hours": tuple(map(hours.read, policy.get("hours", ()))),
        "priority": PRIORITIES.index(policy.get("priority", "normal")),
        "cache": policy.get("cache", False),
        "points": points.parts(policy),
        **{field: tuple(policy.get(field, ())) for field in LISTS},
        # (No route has the last name, and none at all would mean all of them.)
        **({"scopes": (*(route for route in ROUTES if route not in off), "-")} if off else {})}


def quota_of(quota: Mapping[str, Any]) -> Minute:
    """What a day may use, or a month."""
    found = tuple((kind, quota[kind]) for kind in KINDS_OF_LIMITS if quota.get(kind))
    return Minute(found, seconds=PERIODS[quota.get("period", "day")])


def minute(limits: Mapping[str, Any]) -> Minute:
    """What a minute may use."""
    units = ((kind, limits.get(f"{kind}_per_minute")) for kind in KINDS_OF_LIMITS if kind != CONCURRENT)
    found = tuple((kind, most) for kind, most in units if most)
    return Minute(found, limits.get("shadow", False), limits.get("outage"))


def moment(text: str) -> float:
    """An ISO date or time, UTC unless it says otherwise, as Unix time. ValueError: it is none, or in UTC of no year."""
    when = datetime.fromisoformat(text)
    found = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    datetime.fromtimestamp(found, UTC)          # as it is shown
    return found
