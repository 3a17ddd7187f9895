"""`edge maintenance`: every request is answered with 503 and the time until which that lasts."""

from __future__ import annotations

import re
from typing import Any

import click
import orjson

from edge.cli.running import find, options
from edge.values.printable import printable

TIMEOUT = 5.0               # seconds
PATH = "/admin/maintenance"
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}

as_json = click.option("--json", "as_json", is_flag=True, help="For programs.")


class Duration(click.ParamType[int]):
    """A time as `90`, `90s`, `15m`, `2h` or `1d`, in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Its seconds."""
        found = re.fullmatch(r"([0-9]{1,9})([smhd]?)", str(value))
        if found is None:
            self.fail(f"{printable(str(value))} is no time: write 90s, 15m, 2h or 1d", param, ctx)
        return int(found[1]) * UNITS[found[2]]


@click.group()
def maintenance() -> None:
    """Answer all requests with 503, for a while. In force on all workers of the host when the command ends; streams
    that run go on, and health checks stay well.
    """


@maintenance.command()
@click.option("--until", metavar="DATE", help="It ends then by itself: 2027-01-31T12:00:00Z.")
@click.option("--for", "seconds", type=Duration(), metavar="TIME", help="Or after so long: 90s, 15m, 2h, 1d.")
@click.option("--message", help="Why, for clients.")
@as_json
@options
def on(until: str | None, seconds: int | None, message: str | None, as_json: bool, **given: str | None) -> None:
    """Begin it, or change what was said of it. Without a time it lasts until `off`."""
    said = {"until": until, "for": seconds, "message": message}
    try:
        body = orjson.dumps({name: value for name, value in said.items() if value is not None})
    except TypeError:                       # bytes that are no text
        raise click.UsageError("an option cannot be sent as JSON") from None
    tell(find(**given).ask(PATH, TIMEOUT, body=body, method="PUT"), as_json)


@maintenance.command()
@as_json
@options
def off(as_json: bool, **given: str | None) -> None:
    """End it."""
    tell(find(**given).ask(PATH, TIMEOUT, method="DELETE"), as_json)


@maintenance.command()
@as_json
@options
def show(as_json: bool, **given: str | None) -> None:
    """Show whether there is one."""
    tell(find(**given).ask(PATH, TIMEOUT), as_json)


def tell(found: dict[str, Any], as_json: bool) -> None:
    """How it is."""
    click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() if as_json else worded(found))


def worded(found: dict[str, Any]) -> str:
    """For people."""
    if not found["on"]:
        return "no maintenance"
    end = f"until {found['until']}" if found["until"] else "until `edge maintenance off`"
    why = f": {printable(found['message'])}" if found["message"] else ""
    return f"maintenance since {found['since']}, {end}{why}"
