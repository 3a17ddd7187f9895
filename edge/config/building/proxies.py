"""Which proxy a provider is reached through, by the variables that curl made a custom.

https_proxy or http_proxy by the provider's scheme, else all_proxy; the lower-case name wins over the
upper-case one; no_proxy lists what to reach directly. Loopback addresses never go through a proxy of the
environment: one made for the internet cannot reach them, and a local model server is the usual case.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

SCHEMES = ("http", "socks5", "socks5h")     # what python-socks speaks; TLS to the proxy itself is not among it
_PORTS = {"http": 80, "https": 443}


def variable(base_url: str, environ: Mapping[str, str]) -> str | None:
    """The name of the variable that holds the proxy for a URL; None: go directly."""
    url = urlsplit(base_url)
    host = (url.hostname or "").rstrip(".")
    if _loopback(host) or _direct(host, url.port or _PORTS.get(url.scheme, 0), _get(environ, "no_proxy")[1]):
        return None
    for name in (f"{url.scheme}_proxy", "all_proxy"):
        found, value = _get(environ, name)
        if value:
            return found
    return None


def parse(text: str) -> SplitResult | None:
    """A proxy's URL; a bare host:port is http, as curl has it. None: not usable."""
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        usable = url.scheme in SCHEMES and bool(url.hostname) and url.port != 0
    except ValueError:
        return None
    bare = url.path in ("", "/") and not url.query and not url.fragment
    return url if usable and bare and text.isprintable() and " " not in text else None


def _get(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    for spelling in (name, name.upper()):
        if value := environ.get(spelling, "").strip():
            return spelling, value
    return name, ""


def _loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _direct(host: str, port: int, no_proxy: str) -> bool:
    return any(_matches(entry, host, port) for entry in no_proxy.lower().replace(",", " ").split())


def _matches(entry: str, host: str, port: int) -> bool:
    """One entry: `*`, a network, or an address or a domain with all below it, both perhaps with a port."""
    if entry == "*":
        return True
    address = _address(host)
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    if _address(entry) is None:             # a bare IPv6 address is full of colons
        name, colon, digits = entry.rpartition(":")
        if colon and digits.isdigit():
            if int(digits) != port:
                return False
            entry = name
    if address is not None:
        return _address(entry) == address
    domain = entry.removeprefix("*").strip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))
