"""How an address is written."""

from __future__ import annotations

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}      # listened on, not connected to


def authority(host: str, port: int) -> str:
    """Host and port as URLs have them: an IPv6 address is in brackets (RFC 3986 section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url_of(host: str, port: int, path: str = "") -> str:
    """The URL at which this machine reaches an address that a gateway listens on."""
    return f"http://{authority(_ANY.get(host, host), port)}{path}"
