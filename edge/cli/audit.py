"""`edge audit`: what admins did at a running gateway."""

from __future__ import annotations

from typing import Any

import click

from edge.cli.circuits import columns
from edge.cli.keys import as_json, dumped, escaped, names, shown
from edge.cli.running import find, options

TIMEOUT = 10.0              # seconds
HEAD = ("time", "who", "action", "key", "what changed")
SELF = ("version", "changed")       # of every change


@click.command()
@click.argument("name", required=False, shell_complete=names)
@click.option("--last", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many.")
@as_json
@options
def audit(name: str | None, last: int, as_json: bool, **given: str | None) -> None:
    """Show what admins did, the newest first; of one key, by its NAME or id, where one is given."""
    of = "" if name is None else f"&key={escaped(name)}"
    found = find(**given).ask(f"/admin/audit?limit={last}{of}", TIMEOUT)["audit"]
    click.echo(dumped(found) if as_json else columns([HEAD, *map(cells, found)]))


def cells(entry: dict[str, Any]) -> tuple[str, ...]:
    """A line of the table."""
    before, after = entry["before"] or {}, entry["after"] or {}
    fields = [name for name in {**before, **after} if name not in SELF and before.get(name) != after.get(name)]
    what = "; ".join(f"{name}: {shown(before.get(name))} -> {shown(after.get(name))}" for name in fields)
    name = (after or before).get("name", entry["key"])       # of a key; else what was switched
    return entry["time"], entry["who"], entry["action"], name, what if before and after else "-"
