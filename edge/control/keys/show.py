"""A key as admins see it: never its secret, nor a digest of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from edge.store import Entry, Party, Row
from edge.store.keys import CONCURRENT, PRIORITIES
from edge.values.hours import DAYS, Hours
from edge.values.moments import moment
from edge.values.points import MICRO, SETTINGS
from edge.values.snapshot import Key


def row(each: Row | Party) -> dict[str, Any]:
    """A key of the store, or who stands behind some."""
    if isinstance(each, Party):
        return {"name": each.name, "number": each.number, "state": each.state, **each.policy,
                "metadata": dict(each.metadata), "version": each.version, "created": moment(each.created),
                "changed": moment(each.changed)}
    pending = each.secrets.former is not None and each.secrets.until > time.time()
    return {"id": each.id, "name": each.name, "source": "store", "masked": each.masked, "state": each.state,
            **each.policy, "metadata": dict(each.metadata), "tags": list(each.tags), "version": each.version,
            "created": moment(each.created), "changed": moment(each.changed),
            "pending_until": moment(each.secrets.until) if pending else None}


def key(each: Key) -> dict[str, Any]:
    """A key of the file, under its name."""
    limits: dict[str, Any] = {}
    if each.limit is not None:
        limits |= {"requests_per_second": each.limit.rate, "burst_size": each.limit.burst}
    limits |= {f"{kind}_per_minute": most for kind, most in each.minute.units}
    if each.concurrent_requests:
        limits[CONCURRENT] = each.concurrent_requests
    if limits and each.minute.shadow:
        limits["shadow"] = True
    policy: dict[str, Any] = {"rate_limit": limits, "expires": None if each.expires is None else moment(each.expires),
              "hours": [window(hours) for hours in each.hours],
              **{name: list(getattr(each, name)) for name in (
                  "allowed_addresses", "denied_addresses", "models", "denied_models", "scopes")}}
    if each.priority != PRIORITIES.index("normal"):
        policy["priority"] = PRIORITIES[each.priority]
    if each.cache:
        policy["cache"] = True
    points = {name: most // MICRO for name, most in zip(SETTINGS, each.points, strict=True) if most}
    return {"id": each.name, "name": each.name, "source": "file", "state": each.state,
            **{name: value for name, value in policy.items() if value}, **points}


def window(hours: Hours) -> str:
    """As it is written."""
    days = ",".join(DAYS[day] for day in sorted(hours.days))
    begin, end = (f"{minutes // 60:02}:{minutes % 60:02}" for minutes in (hours.begin, hours.end))
    return f"{days} {begin}-{end} {hours.zone}"


def entry(each: Entry) -> dict[str, Any]:
    """What an admin did."""
    return {"number": each.number, "time": moment(each.time), "who": each.deed.who, "action": each.deed.action,
            "key": each.deed.key, "request_id": each.deed.request, "before": known(each.before),
            "after": known(each.after)}


def known(shown: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """As the audit has it."""
    return None if shown is None else dict(shown)
