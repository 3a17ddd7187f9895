"""`edge health`: the check of a container or a unit, without curl."""

from __future__ import annotations

import click

from edge.cli.running import Way, ask
from edge.config import address
from edge.net.addresses import UNKNOWN, url_of


@click.command()
@click.option("--url", help="What to ask; /health of the configured address unless given.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=3.0, show_default=True, help="Seconds.")
def health(url: str | None, timeout: float) -> None:
    """Ask a running gateway whether it is well: exit code 0 if so, else 1. Never goes through a proxy."""
    host, port, proxied = address()
    asked = url or url_of(host, port, "/health")
    status, _ = ask(asked, timeout, Way("--url", UNKNOWN if proxied and not url else b""))
    if status != 200:
        raise click.ClickException(f"{asked}: answered {status}")
    click.echo(f"{asked}: ok")
