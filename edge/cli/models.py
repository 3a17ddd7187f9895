"""`edge models`: what the catalogue of a running gateway has, and whether it is on."""

from __future__ import annotations

from typing import Any

import click
import orjson
from click.shell_completion import CompletionItem

from edge.cli.circuits import columns
from edge.cli.keys import as_json, dumped
from edge.cli.running import find, options

TIMEOUT = 5.0               # seconds
PATH = "/admin/models"
HEAD = ("model", "is", "said by", "made for", "served by")


def names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Of the models of the gateway that runs, for the shell."""
    given = {name: ctx.params.get(name) for name in ("admin", "key", "pid", "path")}
    try:
        found = find(**given).ask(PATH, 1.0)["models"]
    except click.ClickException:
        return []
    return [CompletionItem(each["model"]) for each in found if each["model"].startswith(incomplete)]


named = click.argument("model", shell_complete=names)


@click.group()
def models() -> None:
    """List the models, and switch them off and on: a name, or a pattern as the configuration has it. In force on all
    workers of the host when the command ends, and until its next start.
    """


@models.command("list")
@as_json
@options
def list_(as_json: bool, **given: str | None) -> None:
    """List names and patterns, what they are made for, and whether they are on."""
    found = find(**given).ask(PATH, TIMEOUT)["models"]
    click.echo(dumped(found) if as_json else columns([HEAD, *map(cells, found)]))


@models.command()
@named
@as_json
@options
def disable(model: str, as_json: bool, **given: str | None) -> None:
    """Refuse requests for a model, of all keys."""
    tell(switch(model, False, **given), as_json)


@models.command()
@named
@as_json
@options
def enable(model: str, as_json: bool, **given: str | None) -> None:
    """Let requests for a model pass again."""
    tell(switch(model, True, **given), as_json)


def switch(model: str, enabled: bool, **given: str | None) -> dict[str, Any]:
    """How it is then."""
    try:
        body = orjson.dumps({"model": model, "enabled": enabled})
    except TypeError:                       # bytes that are no text
        raise click.UsageError("the name cannot be sent as JSON") from None
    return find(**given).ask(PATH, TIMEOUT, body=body)


def tell(found: dict[str, Any], as_json: bool) -> None:
    """How it is."""
    click.echo(dumped(found) if as_json else columns([(found["model"], state(found))]))


def state(found: dict[str, Any]) -> str:
    """In a word."""
    return "on" if found["enabled"] else "off"


def cells(found: dict[str, Any]) -> tuple[str, ...]:
    """A line of the table."""
    made_for = "-" if found["capabilities"] is None else ", ".join(found["capabilities"]) or "nothing"
    return found["model"], state(found), found["by"], made_for, ", ".join(found["targets"]) or "-"
