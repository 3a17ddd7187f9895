"""`edge cache`: the response cache of a running gateway."""

from __future__ import annotations

from typing import Any, BinaryIO

import click
import orjson

from edge.cli.running import find, options

TIMEOUT = 5.0               # seconds
PATH = "/admin/cache"

as_json = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group()
def cache() -> None:
    """Answers that are kept for who asks the same again. What is changed here is so for all workers of the host when
    the command ends.
    """


@cache.command()
@as_json
@options
def show(as_json: bool, **given: str | None) -> None:
    """Show what it holds, and how many requests it has answered."""
    found = find(**given).ask(PATH, TIMEOUT)
    click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() if as_json else worded(found))


@cache.command()
@options
def clear(**given: str | None) -> None:
    """Forget all answers."""
    find(**given).ask(PATH, TIMEOUT, method="DELETE")
    click.echo("no answer is left")


@cache.command()
@click.argument("file", type=click.File("rb"))
@options
def put(file: BinaryIO, **given: str | None) -> None:
    """Put an answer in: FILE (-: standard input) is JSON with `key`, `request` and `answer`, maybe `path` and `ttl`."""
    found = find(**given).ask(PATH, TIMEOUT, body=file.read(), method="PUT")
    click.echo(f"{found['name']} until {found['until']}")


@cache.command()
@click.argument("name")
@options
def remove(name: str, **given: str | None) -> None:
    """Take one out, by its name: answers have it in their field x-edge-cache-name."""
    find(**given).ask(f"{PATH}/{name}", TIMEOUT, method="DELETE")
    click.echo(f"{name} is out")


def worded(found: dict[str, Any]) -> str:
    """For people."""
    if not found["on"]:
        return f"off: {found['reason'] or 'the configuration has no cache_max_size'}"
    asked = found["hits"] + found["misses"]
    share = f", {found['hits'] / asked:.0%}" if asked else ""
    return (f"{found['used'] / 1e6:.1f} of {found['size'] / 1e6:.1f} MB in {found['folder'] or 'memory'}; answers of "
            f"up to {found['longest']} bytes, for {found['ttl']} s\n{found['hits']} hits of {asked} requests{share}; "
            f"{found['kept']} answers were put in")
