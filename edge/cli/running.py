"""How commands talk to a running gateway: one request, never through a proxy."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import click

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}      # listened on, not connected to


def url_of(host: str, port: int, path: str = "") -> str:
    """The URL of an address that a gateway listens on."""
    host = _ANY.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{path}"


def ask(url: str, timeout: float, *, option: str, body: bytes | None = None,
        key: str | None = None) -> tuple[int, bytes]:
    """Status and body of a GET, or of a POST where there is a `body`. ClickException: no answer."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.BadParameter("an http:// or https:// URL", param_hint=option)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=timeout)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        connection.request("GET" if body is None else "POST",
                           f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}", body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        refused = f"nothing listens there; is edge running? {option} names another" if isinstance(
            error, ConnectionRefusedError) else error or type(error).__name__
        raise click.ClickException(f"{url}: {refused}") from None
    finally:
        connection.close()
