"""`edge store`: the database of keys, with or without a gateway that runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from edge.config import peek
from edge.store import Unavailable, care, places
from edge.values.snapshot import StorePlace

Made = TypeVar("Made")


def chosen(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which one."""
    for option in (click.option("--config", "path", metavar="FILE", help="The configuration that names it; looked "
                                "for as `edge serve` does unless given."),
                   click.option("--store", "given", metavar="STORE", help="The file itself, or a URL of PostgreSQL.")):
        command = option(command)
    return command


def place(path: str | None, given: str | None) -> StorePlace:
    """Where it is. UsageError: nobody says it."""
    try:
        found = places.place(given, Path()) if given is not None else peek(path).snapshot.store
    except places.Wrong as wrong:
        raise click.UsageError("--store " + " - ".join(wrong.args)) from None
    if found is None:
        raise click.UsageError("the configuration has no store: name one with --store")
    return found


def tried(name: StorePlace, act: Callable[[], Made]) -> Made:
    """What it gives; what is wrong with the store in a line."""
    try:
        return act()
    except Unavailable as error:
        raise click.ClickException(f"{name}: {error}") from None


@click.group()
def store() -> None:
    """Check, migrate, back up and restore the database of keys. A gateway may run meanwhile."""


@store.command()
@chosen
def check(path: str | None, given: str | None) -> None:
    """Read all of it, and say whether it is whole."""
    name = place(path, given)
    click.echo(line(name, tried(name, lambda: care.check(name))))


@store.command()
@chosen
def migrate(path: str | None, given: str | None) -> None:
    """Bring it to this program's version. (A gateway does it when it first needs it.)"""
    name = place(path, given)
    before, after = tried(name, lambda: care.migrate(name))
    click.echo(f"{name}: version {after}" + ("" if before == after else f", migrated from {before}"))


@store.command()
@click.argument("target", type=click.Path())
@chosen
def backup(target: str, path: str | None, given: str | None) -> None:
    """Copy it to TARGET, which must not be there, as it is at one moment."""
    name = place(path, given)
    click.echo(line(target, tried(name, lambda: care.backup(name, target))))


@store.command()
@click.argument("source", type=click.Path())
@chosen
def restore(source: str, path: str | None, given: str | None) -> None:
    """Put the backup SOURCE in its place. What is there is lost; `edge reload` puts the keys into force."""
    name = place(path, given)
    click.echo(line(name, tried(name, lambda: care.restore(name, source))))


def line(name: StorePlace | str, found: care.Found) -> str:
    """What is in it."""
    return f"{name}: whole, version {found.version} of {found.newest}, {found.keys} keys, {found.entries} audit entries"
