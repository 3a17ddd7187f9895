"""`edge config`: check a configuration, show what is in force, print its schema."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence

import click

from edge.cli.streams import tell
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
@click.argument("file", required=False, type=click.Path(), default="edge.yaml")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def init(file: str, force: bool) -> None:
    """Write a commented configuration to begin with to FILE (edge.yaml), with a new client's key."""
    from edge.config.first import written

    try:
        key, simulated = written(file, os.environ, force=force)
    except FileExistsError:
        raise click.ClickException(f"{file} is there already; --force writes over it") from None
    except OSError as error:
        raise click.ClickException(f"cannot write {file}: {error.strerror}") from None
    before = f"    edge simulate --port {simulated} &\n" if simulated else ""
    named = shlex.quote(file)
    click.echo(f"{file} is written. Its key, shown this once:\n\n    {key}\n\n"
               f"Next:\n\n    edge config validate {named}\n{before}    edge serve --config {named}")


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
