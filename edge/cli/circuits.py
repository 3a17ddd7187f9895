"""`edge circuits`: the targets of a running gateway, and an operator's word on one of them."""

from __future__ import annotations

from typing import Any

import click
import orjson

from edge.cli.running import ask, url_of
from edge.config import ConfigError, peek

TIMEOUT = 5.0               # seconds
STATES = {"open": "open", "close": "closed", "auto": "auto"}
HEAD = ("target", "state", "for", "said by", "failures", "opened", "passed by", "keys at rest")


@click.command()
@click.argument("word", required=False, type=click.Choice(list(STATES)))
@click.argument("target", required=False)
@click.option("--admin", help="The URL of the admin port; the configured one unless given.")
@click.option("--key", envvar="EDGE_ADMIN_KEY", show_envvar=True,
              help="The admin key; the configured one, for the configured port, unless given.")
def circuits(word: str | None, target: str | None, admin: str | None, key: str | None) -> None:
    """List a running gateway's targets; or take TARGET out (open), put it in whatever happens (close), or leave it
    to its circuit breaker again (auto). What was said holds until the next start.
    """
    if word is not None and target is None:
        raise click.UsageError(f"{word} which target? edge circuits lists them.")
    if admin is None:
        admin, configured = _configured()
        key = key or configured
    url = f"{admin.rstrip('/')}/admin/circuits"
    body = None if word is None else orjson.dumps({"target": target, "state": STATES[word]})
    status, answer = ask(url, TIMEOUT, option="--admin", body=body, key=key)
    try:
        said = orjson.loads(answer)
        if status != 200:
            raise click.ClickException(f"{url}: {said['error']['message']}")
        click.echo(table([said] if word else said["circuits"]))
    except (ValueError, KeyError, TypeError):
        raise click.ClickException(f"{url}: answered {status}, and not as an admin port does") from None


def _configured() -> tuple[str, str | None]:
    """The admin port of the configuration, however wrong the rest of it, and its key."""
    try:
        snapshot = peek().snapshot
    except ConfigError as error:
        raise click.UsageError(f"{error.problems[0]}; give --admin") from None
    key = snapshot.admin_key
    return url_of(snapshot.admin_addr, snapshot.admin_port), key.reveal() if key else None


def table(found: list[dict[str, Any]]) -> str:
    """One line a target, in columns."""
    rows = [HEAD, *map(row, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
                     for line in rows)


def row(target: dict[str, Any]) -> tuple[str, ...]:
    """A target's cells."""
    by = "operator" if target["forced"] != "auto" else "health checks" if target["ailing"] else "-"
    keys = ", ".join(f"{key} ({seconds:.0f} s)" for key, seconds in target["benched"].items())
    left = f"{target['open_for']:.1f} s" if target["state"] == "open" and target["open_for"] else "-"
    return (target["target"], target["state"], left, by, str(sum(target["failed"].values())), str(target["opened"]),
            str(target["shut_out"]), keys or "-")
