"""`edge circuits`: the targets of a running gateway, and an operator's word on one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import orjson

from edge.cli.running import find, options
from edge.values.printable import printable

TIMEOUT = 5.0               # seconds
STATES = {"open": "open", "close": "closed", "auto": "auto"}
HEAD = ("target", "state", "for", "said by", "failures", "opened", "passed by", "keys at rest")


@click.command()
@click.argument("word", required=False, type=click.Choice(list(STATES)))
@click.argument("target", required=False)
@options
def circuits(word: str | None, target: str | None, **given: str | None) -> None:
    """List a running gateway's targets; or take TARGET out (open), put it in whatever happens (close), or leave it
    to its circuit breaker again (auto). What was said holds until the next start, and on all hosts that share `redis:`.
    """
    if word is not None and target is None:
        raise click.UsageError(f"{word} which target? edge circuits lists them.")
    body = None if word is None else orjson.dumps({"target": target, "state": STATES[word]})
    said = find(**given).ask("/admin/circuits", TIMEOUT, body=body)
    click.echo(table([said] if word else said["circuits"]))


def table(found: list[dict[str, Any]]) -> str:
    """One line a target."""
    return columns([HEAD, *map(row, found)])


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Lines of cells below each other."""
    rows = [tuple(map(printable, row)) for row in rows]
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
