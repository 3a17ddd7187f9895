"""`edge health`: the check of a container or a unit, without curl."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import click

from edge.config import address

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}      # listened on, not connected to


@click.command()
@click.option("--url", help="What to ask; /health of the configured address unless given.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=3.0, show_default=True, help="Seconds.")
def health(url: str | None, timeout: float) -> None:
    """Ask a running gateway whether it is well: exit code 0 if so, else 1. Never goes through a proxy."""
    asked = url or _configured()
    parts = urlsplit(asked)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.BadParameter("an http:// or https:// URL", param_hint="--url")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=timeout)
    try:
        connection.request("GET", f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise click.ClickException(f"{asked}: {error or type(error).__name__}") from None
    finally:
        connection.close()
    if status != 200:
        raise click.ClickException(f"{asked}: answered {status}")
    click.echo(f"{asked}: ok")


def _configured() -> str:
    """The address of the configuration, however wrong the rest of it; TokenPak's default without one."""
    host, port = address()
    host = _ANY.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/health"
