"""`edge store`: the file of the store, with or without a gateway that runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from edge.config import peek
from edge.store import Unavailable, care

Made = TypeVar("Made")


def chosen(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which file."""
    for option in (click.option("--config", "path", metavar="FILE", help="The configuration that names it; looked "
                                "for as `edge serve` does unless given."),
                   click.option("--store", "file", metavar="FILE", help="The file itself.")):
        command = option(command)
    return command


def place(path: str | None, file: str | None) -> str:
    """The file. UsageError: no configuration names one."""
    found = file if file is not None else peek(path).snapshot.store
    if found is None:
        raise click.UsageError("the configuration has no store: name one with --store")
    return found


def tried(file: str, act: Callable[[], Made]) -> Made:
    """What it gives; what is wrong with the file in a line."""
    try:
        return act()
    except Unavailable as error:
        raise click.ClickException(f"{file}: {error}") from None


@click.group()
def store() -> None:
    """Check, migrate, back up and restore the database of keys. A gateway may run meanwhile."""


@store.command()
@chosen
def check(path: str | None, file: str | None) -> None:
    """Read all of it, and say whether it is whole."""
    name = place(path, file)
    click.echo(line(name, tried(name, lambda: care.check(name))))


@store.command()
@chosen
def migrate(path: str | None, file: str | None) -> None:
    """Bring it to this program's version. (A gateway does it when it first needs it.)"""
    name = place(path, file)
    before, after = tried(name, lambda: care.migrate(name))
    click.echo(f"{name}: version {after}" + ("" if before == after else f", migrated from {before}"))


@store.command()
@click.argument("target", type=click.Path())
@chosen
def backup(target: str, path: str | None, file: str | None) -> None:
    """Copy it to TARGET, which must not be there, as it is at one moment."""
    name = place(path, file)
    click.echo(line(target, tried(name, lambda: care.backup(name, target))))


@store.command()
@click.argument("source", type=click.Path())
@chosen
def restore(source: str, path: str | None, file: str | None) -> None:
    """Put the backup SOURCE in its place. What is there is lost; `edge reload` puts the keys into force."""
    name = place(path, file)
    click.echo(line(name, tried(name, lambda: care.restore(name, source))))


def line(name: str, found: care.Found) -> str:
    """What is in it."""
    return f"{name}: whole, version {found.version} of {found.newest}, {found.keys} keys, {found.entries} audit entries"
