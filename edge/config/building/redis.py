"""Redis's section made into the snapshot's, its URL read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from edge.config.building.references import Secrets
from edge.config.report import Report
from edge.config.sections import redis as section
from edge.values.snapshot import Redis

_PORTS = {"redis": 6379, "sentinel": 26379, "cluster": 6379}
_NODE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?")
_AT = ("redis", "url")
_HINT = "for example redis://redis.internal:6379, redis+sentinel://a:26379,b:26379/mymaster, redis+cluster://a:6379"


def redis(report: Report, given: section.Redis | None, secrets: Secrets, folder: Path) -> Redis | None:
    """What hosts share their limits through; None where there is none, or a problem was noted."""
    if given is None:
        return None
    password = secrets.get(given.password, ("redis", "password")) if given.password else None
    ca_bundle = None if given.ca_bundle is None else str(folder / given.ca_bundle)
    if ca_bundle is not None and not Path(ca_bundle).is_file():
        report.problem(("redis", "ca_bundle"), f"cannot read {ca_bundle}", "name a PEM file")
    try:
        kind, tls, nodes, place = _read(given.url)
    except _Wrong as wrong:
        report.problem(_AT, *wrong.args)
        return None
    if ca_bundle is not None and not tls:
        report.problem(("redis", "ca_bundle"), "is of no use without TLS", f"write rediss in {given.url}")
    return Redis(kind=kind, nodes=nodes, master=place[0], database=place[1], tls=tls, password=password,
                 ca_bundle=ca_bundle, **given.model_dump(exclude={"url", "password", "ca_bundle"}))


class _Wrong(Exception):
    """What is wrong with the URL, and the way out."""


def _read(text: str) -> tuple[Any, bool, tuple[tuple[str, int], ...], tuple[str, int]]:
    """Kind, whether by TLS, nodes, and the master's name and database. _Wrong: it cannot be read."""
    try:
        url = urlsplit(text)
    except ValueError:
        raise _Wrong("is no URL", _HINT) from None
    scheme, _, kind = url.scheme.partition("+")
    kind = kind or "redis"
    if scheme not in ("redis", "rediss") or kind not in _PORTS:
        raise _Wrong(f"has the scheme {url.scheme or '(none)'}, which is unknown here", _HINT)
    if "@" in url.netloc:
        raise _Wrong("holds a user or a password", "put them into redis.username and redis.password")
    if url.query or url.fragment:
        raise _Wrong("has a query, which means nothing here", "write what it says into keys of this section")
    nodes = _nodes(url, kind)
    if nodes is None or (kind == "redis" and len(nodes) > 1):
        raise _Wrong("does not name a host, and a port perhaps", _HINT)
    place = _place(url, kind)
    if place is None:
        raise _Wrong(f"has the path {url.path}", "it is /DATABASE, of sentinels /MASTER or /MASTER/DATABASE, and "
                     "nothing for a cluster")
    return kind, scheme == "rediss", nodes, place


def _nodes(url: SplitResult, kind: str) -> tuple[tuple[str, int], ...] | None:
    found = [_NODE.fullmatch(node) for node in url.netloc.split(",")]
    nodes = tuple((each[1] or each[2], int(each[3] or _PORTS[kind])) for each in found if each)
    return nodes if len(nodes) == len(found) and all(0 < port < 65536 for _, port in nodes) else None


def _place(url: SplitResult, kind: str) -> tuple[str, int] | None:
    """The master's name and the database."""
    parts = [unquote(part) for part in url.path.removeprefix("/").split("/")] if url.path.strip("/") else []
    master = parts.pop(0) if kind == "sentinel" and parts else ""
    if (kind == "sentinel") != bool(master) or len(parts) > (kind != "cluster"):
        return None
    if parts and not (parts[0].isdecimal() and len(parts[0]) < 4):
        return None
    return master, int(parts[0]) if parts else 0
