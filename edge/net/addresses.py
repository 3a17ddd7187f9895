"""How an address is written, and how this machine reaches one that a gateway listens on."""

from __future__ import annotations

UNKNOWN = b"PROXY UNKNOWN\r\n"       # who speaks for itself, to who awaits a PROXY header (proxy-protocol.txt, 2.1)
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}      # listened on, not connected to


def authority(host: str, port: int) -> str:
    """Host and port as URLs have them: an IPv6 address is in brackets (RFC 3986 section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def near(host: str) -> str:
    """The address itself, or this machine's own where all are listened on."""
    return _ANY.get(host, host)


def url_of(host: str, port: int, path: str = "") -> str:
    """The URL at which this machine reaches an address that a gateway listens on."""
    return f"http://{authority(near(host), port)}{path}"
