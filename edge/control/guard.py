"""Who may use the admin routes: who has the admin key, a token of the configuration's or this run's; where there is
neither key nor token, programs on the same machine.

A viewer may read; an operator may change keys, who stands behind them, and circuits; an owner may do all.

A browser on that machine is a confused deputy for every page it shows: a page can post to 127.0.0.1, and with
DNS rebinding read the answers under a name of its own. Neither can be done without an Origin, a
Sec-Fetch-Site or a Host that gives it away (Fetch Standard 3.2; W3C Fetch Metadata).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable
from functools import wraps
from ipaddress import ip_address
from typing import Protocol, TypeVar, get_args

from starlette.requests import Request
from starlette.responses import Response

from edge._fast import Condition, Slot
from edge.control.refusal import Refusal
from edge.control.state import State
from edge.process import pidfile
from edge.values.snapshot import AdminScope, Snapshot

_LOCAL_HOST = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?", re.I)
SCOPES: tuple[AdminScope, ...] = get_args(AdminScope)
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


class Guarded(Protocol):
    """Routes of the admin API."""

    state: Callable[[], State]


Routes = TypeVar("Routes", bound=Guarded)
Handler = Callable[[Routes, Request], Awaitable[Response]]


def admin(handler: Handler[Routes]) -> Handler[Routes]:
    """The route is for whom `admit` lets read, or change; `request.state.who` is who that is."""
    return _guarded(handler, None)


def owner(handler: Handler[Routes]) -> Handler[Routes]:
    """The same of a route that is for owners alone."""
    return _guarded(handler, "owner")


def _guarded(handler: Handler[Routes], scope: AdminScope | None) -> Handler[Routes]:
    @wraps(handler)
    async def guarded(routes: Routes, request: Request) -> Response:
        who, held = admit(request, routes.state().snapshot)
        wanted: AdminScope = scope or ("viewer" if request.method in ("GET", "HEAD") else "operator")
        if SCOPES.index(held) < SCOPES.index(wanted):
            raise Refusal(Condition.scope_missing, {Slot.S_FIELD: f"{wanted} ({who} is {held})"})
        request.state.who = who
        return await handler(routes, request)
    return guarded


def admit(request: Request, snapshot: Snapshot) -> tuple[str, AdminScope]:
    """Who asks, for the audit, and as what; or raise the Refusal."""
    where = f" from {request.client.host}" if request.client is not None else ""
    if holds_token(request):
        return f"the gateway's user{where}", "owner"
    if snapshot.admin_key is not None or snapshot.admin_tokens:
        who, scope = check_key(request.headers.get("authorization"), snapshot)
        return f"{who}{where}", scope
    if not local(request):
        raise Refusal(Condition.scope_missing, {Slot.S_FIELD: "admin, without admin.key for local programs only"})
    return f"a program{where}", "owner"


def holds_token(request: Request) -> bool:
    """A command that has read this run's pidfile: it may do what the gateway's user may do anyway."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    word = pidfile.token()
    return bool(word) and scheme.lower() == "bearer" and hmac.compare_digest(given.encode("latin-1"), word.encode())


def check_key(field: str | None, snapshot: Snapshot) -> tuple[str, AdminScope]:
    """Whose the bearer token is, and as what it lets in. All are compared, each in constant time."""
    if field is None:
        raise Refusal(Condition.key_missing)
    scheme, _, token = field.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refusal(Condition.key_malformed)
    given = token.strip().encode("latin-1")
    known = [(each.name, each.secret, each.scope) for each in snapshot.admin_tokens]
    if snapshot.admin_key is not None:
        known.append(("the admin key", snapshot.admin_key, "owner"))
    found = [(name, scope) for name, secret, scope in known if hmac.compare_digest(given, secret.reveal().encode())]
    if not found:
        raise Refusal(Condition.key_unknown)
    return found[0]


def local(request: Request) -> bool:
    """A program on this machine speaks to us directly: no proxy between, no browser on behalf of a site."""
    headers = request.headers
    return (request.client is not None and loopback(request.client.host)
            and not any(name in headers for name in _FORWARDED)
            and _LOCAL_HOST.fullmatch(headers.get("host", "")) is not None
            and "origin" not in headers
            and headers.get("sec-fetch-site", "none") in ("none", "same-origin"))


def loopback(host: str) -> bool:
    """Whether an address is this machine's own; also an IPv4 one that was mapped to IPv6."""
    address = ip_address(host)
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
