"""`edge usage`: what accounts, keys and models have used and spent."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import click

from edge.cli.circuits import columns
from edge.cli.keys import dumped
from edge.cli.running import ADMIN, ask, find, options

TIMEOUT = 60.0              # seconds
BY = ("account", "key", "model", "day", "hour")


@click.command()
@click.option("--by", multiple=True, type=click.Choice(BY), help="A sum for each; by day unless given.")
@click.option("--since", metavar="DAY", help="2027-01-31; 30 days ago unless given. Days are those of UTC.")
@click.option("--until", metavar="DAY", help="The last day; today unless given.")
@click.option("--account", metavar="NUMBER", help="Of one account alone.")
@click.option("--of-key", metavar="NAME", help="Of one key alone.")
@click.option("--model", metavar="NAME", help="Of one model alone.")
@click.option("--csv", "as_csv", is_flag=True, help="As CSV.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@options
def usage(by: tuple[str, ...], as_csv: bool, as_json: bool, **given: Any) -> None:
    """Show what was used and spent, in points and in money."""
    wanted = {name: given.pop(name) for name in ("since", "until", "account", "model")}
    wanted |= {"key": given.pop("of_key"), "by": ",".join(by or ("day",)), "format": "csv" if as_csv else None}
    path = f"/admin/usage?{urlencode({name: value for name, value in wanted.items() if value is not None})}"
    admin = find(**given)
    if as_csv:
        status, said = ask(f"{admin.url}{path}", TIMEOUT, ADMIN, key=admin.key)
        if status != 200:
            admin.ask(path, TIMEOUT)
        return click.echo(said, nl=False)
    found = admin.ask(path, TIMEOUT)
    if as_json:
        return click.echo(dumped(found))
    head = (*(by or ("day",)), "requests", "input", "cached", "output", "points")
    money = [found["currency"]] if found["currency"] else []
    click.echo(columns([(*head, *money), *(
        tuple(str(row[name]) for name in (*head, *(["money"] if money else []))) for row in found["usage"])]))
