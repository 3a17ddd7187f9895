"""The fixed parts of a request to a provider: its head, with key and version, and where its target begins."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes, urlsplit

from edge.dialects.kinds import KEY_HEADERS
from edge.dialects.surfaces import VERSIONS
from edge.values.snapshot import Provider


def heads(provider: Provider, *, versioned: bool = False) -> tuple[bytes, ...]:
    """The fixed part of a request's head, once per provider key: from behind the target to the client's fields.

    With `versioned` it names a version where the API wants one (else it answers 400): no client's comes along.
    """
    parts = urlsplit(provider.base_url)
    # identity: usage is read in passing, and an answer that nobody can read cannot be judged either.
    lines = [" HTTP/1.1", f"host: {parts.netloc.rpartition('@')[2]}", "accept-encoding: identity"]
    lines += [f"{name}: {value.reveal()}" for name, value in provider.headers]
    version, usual = VERSIONS.get(provider.kind, ("", ""))
    if versioned and version and version not in (name.lower() for name, _ in provider.headers):
        lines.append(f"{version}: {usual}")
    name = provider.key_header or KEY_HEADERS[provider.kind]
    scheme = "Bearer " if name.lower() == "authorization" else ""
    keyed = [[*lines, f"{name}: {scheme}{key.reveal()}"] for key in provider.keys] or [lines]
    return tuple("".join(line + "\r\n" for line in group).encode() for group in keyed)


def place(provider: Provider) -> tuple[bytes, bytes]:
    """The base URL's path, without a slash at its end, and its query from the question mark on; b"": it has none."""
    url = urlsplit(provider.base_url)
    return url.path.rstrip("/").encode(), f"?{url.query}".encode() if url.query else b""


def joined(target: bytes, query: bytes) -> bytes:
    """A request's target with its provider's query, whose names go before the target's own."""
    if not query:
        return target
    path, _, given = target.partition(b"?")
    names = _names(query[1:])
    return b"&".join([path + query, *(pair for pair in given.split(b"&") if pair and names.isdisjoint(_names(pair)))])


def _names(query: bytes) -> set[bytes]:
    """The names in a query as servers may read them: decoded, whatever their case, semicolons too between them."""
    return {unquote_to_bytes(pair.partition(b"=")[0].replace(b"+", b" ")).lower()
            for pair in query.replace(b";", b"&").split(b"&")}
