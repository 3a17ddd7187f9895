"""`edge accounts|users|groups|workspaces`: who stands behind the keys of a running gateway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import click
from click.shell_completion import CompletionItem

from edge.cli.circuits import columns
from edge.cli.keys import PAGE, TIMEOUT, as_json, body, dumped, encoded, escaped, policy, shown, tell, without
from edge.cli.running import find, options

HEAD = ("name", "state", "number", "what it says")
OWN = ("name", "state", "number", "version", "created", "changed")


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind is called, the options (of keys.OPTIONS) that say what it says of its keys, and its actions."""

    many: str
    about: str
    options: tuple[str, ...]
    actions: tuple[tuple[str, str], ...]


def group(kind: Kind) -> click.Group:
    """The commands of a kind."""
    def names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        given = {name: ctx.params.get(name) for name in ("admin", "key", "pid", "path")}
        try:
            found = find(**given).ask(f"/admin/{kind.many}?limit={PAGE}", 1.0)[kind.many]
        except click.ClickException:
            return []
        return [CompletionItem(each["name"]) for each in found if each["name"].startswith(incomplete)]

    named = click.argument("name", shell_complete=names)

    @click.group(kind.many, help=f"{kind.about} A change is in force on all workers of the host when the command ends.")
    def commands() -> None:
        pass

    @commands.command("list", help=f"List all {kind.many}.")
    @as_json
    @options
    def list_(as_json: bool, **given: str | None) -> None:
        admin, found, after = find(**given), list[dict[str, Any]](), ""
        while after is not None:
            page = admin.ask(f"/admin/{kind.many}?limit={PAGE}&after={quote(after)}", TIMEOUT)
            found, after = found + page[kind.many], page["next"]
        click.echo(dumped(found) if as_json else columns([HEAD, *map(cells, found)]))

    @commands.command("show", help=f"Show one of the {kind.many}.")
    @named
    @as_json
    @options
    def show(name: str, as_json: bool, **given: str | None) -> None:
        tell(find(**given).ask(path(kind, name), TIMEOUT), as_json)

    changing(commands, kind, named)
    for word, about in kind.actions:
        action(commands, named, word, about, kind)
    return commands


def path(kind: Kind, name: str, word: str = "") -> str:
    """Of its route."""
    return f"/admin/{kind.many}/{escaped(name)}{word and f'/{word}'}"


def changing(commands: click.Group, kind: Kind, named: Callable[..., Any]) -> None:
    """The commands that make one, change what it says, and forget it."""
    @commands.command("create", help="Make one.")
    @click.argument("name")
    @policy(*kind.options, "metadata")
    @as_json
    @options
    def create(name: str, as_json: bool, **given: Any) -> None:
        said = {"name": name, **body(given)}
        tell(find(**given).ask(f"/admin/{kind.many}", TIMEOUT, body=encoded(said)), as_json)

    @commands.command("set", help="Change what it says of its keys. Lists are replaced.")
    @named
    @policy(*kind.options, "metadata")
    @click.option("--unset", multiple=True, metavar="FIELD", help="Take this out, as `show` names it.")
    @as_json
    @options
    def set_(name: str, unset: tuple[str, ...], as_json: bool, **given: Any) -> None:
        said = without(body(given), unset)
        tell(find(**given).ask(path(kind, name), TIMEOUT, body=encoded(said), method="PATCH"), as_json)

    @commands.command("delete", help="Forget one that no key has. The audit knows it still.")
    @named
    @options
    def delete(name: str, **given: str | None) -> None:
        find(**given).ask(path(kind, name), TIMEOUT, method="DELETE")
        click.echo(f"{name}: deleted")


def action(commands: click.Group, named: Callable[..., Any], word: str, about: str, kind: Kind) -> None:
    """A command that changes a state."""
    @commands.command(word, help=about)
    @named
    @as_json
    @options
    def act(name: str, as_json: bool, **given: str | None) -> None:
        said = find(**given).ask(path(kind, name, word), TIMEOUT, body=b"")
        click.echo(dumped(said) if as_json else f"{said['name']}: {said['state']}")


def cells(party: dict[str, Any]) -> tuple[str, ...]:
    """A line of the table."""
    said = "; ".join(f"{name}: {shown(value)}" for name, value in party.items() if name not in OWN and value)
    return party["name"], party["state"], str(party["number"]), said or "-"


accounts = group(Kind("accounts", "Make, limit and suspend the accounts that keys belong to.",
                      ("limit", "deny_address"), (
    ("suspend", "Refuse all keys of an account."), ("resume", "Let the keys of a suspended account in again."))))
users = group(Kind("users", "Make and ban the users whose the keys are.", (), (
    ("ban", "Refuse all keys of a user."), ("unban", "Let the keys of a banned user in again."))))
groups = group(Kind("groups", "Say what groups of keys may use.", ("limit", "model", "provider"), (
    ("disable", "Refuse all keys of a group."), ("enable", "Let the keys of a disabled group in again."))))
workspaces = group(Kind("workspaces", "Switch features of workspaces on and off.", ("feature", "quota"), (
    ("disable", "Refuse all keys of a workspace."), ("enable", "Let the keys of a disabled workspace in again."))))


@accounts.command()
@click.argument("name")
@click.argument("points")
@click.option("--reference", metavar="TEXT", help="The credit's own name: again under it, it changes nothing.")
@as_json
@options
def credit(name: str, points: str, reference: str | None, as_json: bool, **given: Any) -> None:
    """Give an account POINTS, for example 100 or 12.5; -5 (behind --) takes back what is there."""
    said = {"points": points} if reference is None else {"points": points, "reference": reference}
    tell(find(**given).ask(f"/admin/accounts/{escaped(name)}/credit", TIMEOUT, body=encoded(said)), as_json)


@accounts.command()
@click.argument("name")
@as_json
@options
def balance(name: str, as_json: bool, **given: Any) -> None:
    """Show what an account has, and what of it requests on their way have reserved."""
    tell(find(**given).ask(f"/admin/accounts/{escaped(name)}/balance", TIMEOUT), as_json)
