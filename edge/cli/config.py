"""`edge config`: check a configuration, show what is in force, print its schema."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

import click

from edge.cli import tell
from edge.config import Loaded, read


@click.group()
def config() -> None:
    """Check and show the configuration."""


_FILE = click.argument("file", required=False, type=click.Path())


@config.command()
@_FILE
def validate(file: str | None) -> None:
    """Check FILE, or the file that `serve` would take. All problems are told at once, with exit code 78."""
    loaded = read(file)
    for warning in loaded.snapshot.warnings:
        tell(f"warning: {warning}")
    click.echo(summary(loaded))


@config.command()
@_FILE
def show(file: str | None) -> None:
    """Print the effective configuration: every default, where each value comes from, secrets masked."""
    from edge.config.show import show as text

    click.echo(text(read(file), os.environ), nl=False)


@config.command()
def schema() -> None:
    """Print the file's JSON Schema, for editors."""
    from edge.config.schema import schema as made

    click.echo(json.dumps(made(), indent=2))


def summary(loaded: Loaded) -> str:
    """One line: the file, what it holds, and how many warnings."""
    snapshot = loaded.snapshot
    counts: Sequence[tuple[int, str]] = (
        (len(snapshot.providers), "provider"), (len(loaded.settings.models), "model"),
        (len(snapshot.keys), "key"), (len(snapshot.warnings), "warning"))
    told = ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
    return f"ok: {loaded.layers.source}: {told}"
