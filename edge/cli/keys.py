"""`edge keys`: the keys of a running gateway, those of the file and those that admins make."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import click
import orjson
from click.shell_completion import CompletionItem

from edge.cli.circuits import columns
from edge.cli.running import find, options
from edge.values.parties import KINDS
from edge.values.points import SETTINGS
from edge.values.printable import printable

TIMEOUT = 130.0             # seconds: the answer comes when all workers know of it
PAGE = 1000
HEAD = ("name", "state", "key", "source", "expires", "limits", "models", "tags", "id")
LISTS = {"model": "models", "deny_model": "denied_models", "address": "allowed_addresses",
         "deny_address": "denied_addresses", "hours": "hours", "scope": "scopes", "tag": "tags",
         "provider": "providers"}
OF_KEYS = ("model", "address", "deny_address", "hours", "scope", "party", "tag", "limit", "points", "expires",
           "priority", "cache", "metadata")
LIMITS = ("requests_per_second", "burst_size", "requests_per_minute", "tokens_per_minute", "input_tokens_per_minute",
          "output_tokens_per_minute", "concurrent_requests")


def names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Of the keys of the gateway that runs, for the shell."""
    given = {name: ctx.params.get(name) for name in ("admin", "key", "pid", "path")}
    try:
        found = find(**given).ask(f"/admin/keys?limit={PAGE}", 1.0)["keys"]
    except click.ClickException:
        return []
    return [CompletionItem(key["name"]) for key in found if key["name"].startswith(incomplete)]


as_json = click.option("--json", "as_json", is_flag=True, help="For programs.")
named = click.argument("name", shell_complete=names)


OPTIONS: dict[str, tuple[Callable[..., Any], ...]] = {
    "model": (click.option("--model", multiple=True, metavar="PATTERN", help="These models alone."),
              click.option("--deny-model", multiple=True, metavar="PATTERN", help="These models not.")),
    "address": (click.option("--address", multiple=True, metavar="NETWORK", help="From there alone."),),
    "deny_address": (click.option("--deny-address", multiple=True, metavar="NETWORK", help="From there not."),),
    "hours": (click.option("--hours", multiple=True, metavar="WINDOW", help="Then alone: 'mon-fri 08:00-18:00 UTC'."),),
    "scope": (click.option("--scope", multiple=True, metavar="ROUTE", help="These routes alone."),),
    "party": tuple(click.option(f"--{kind}", metavar="NAME", help=f"The {kind} that stands behind it.")
                   for kind in KINDS),
    "tag": (click.option("--tag", multiple=True, metavar="TEXT", help="To find it by."),),
    "limit": tuple(click.option(f"--{name.replace('_', '-')}", type=float if name == "requests_per_second" else int,
                                metavar="N", help="A limit of its own.") for name in LIMITS),
    "points": tuple(click.option(f"--{name.replace('_', '-')}", type=int, metavar="N", help="It may spend no more.")
                    for name in SETTINGS),
    "expires": (click.option("--expires", metavar="DATE", help="It ends then: 2027-01-31, or with a time."),),
    "priority": (click.option("--priority", type=click.Choice(("high", "normal", "low")),
                              help="Who waits for whom when there is not enough for all."),),
    "cache": (click.option("--cache/--no-cache", default=None, help="Its requests may be answered from the response "
                           "cache."),),
    "provider": (click.option("--provider", multiple=True, metavar="NAME", help="These providers alone."),),
    "feature": (click.option("--feature", multiple=True, metavar="ROUTE=on|off", help="Switch a route off, or on."),),
    "quota": (click.option("--quota", multiple=True, metavar="UNITS=N", help="requests, tokens, input_tokens or "
                           "output_tokens of a period."),
              click.option("--quota-period", type=click.Choice(("day", "month")), help="That of the quota; a day.")),
    "metadata": (click.option("--metadata", multiple=True, metavar="NAME=TEXT", help="For your own programs."),)}


def policy(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options that say what a key, or somebody behind it, may do: those of these names in OPTIONS."""
    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed([option for name in names for option in OPTIONS[name]]):
            command = option(command)
        return command
    return decorated


def body(given: dict[str, Any]) -> dict[str, Any]:
    """What the options say, taken out of `given`."""
    said: dict[str, Any] = {name: list(found) for option, name in LISTS.items() if (found := given.pop(option, ()))}
    limits = {name: given.pop(name, None) for name in LIMITS}
    if limits := {name: value for name, value in limits.items() if value is not None}:
        said["rate_limit"] = limits
    texts = ("expires", "priority", "cache", *SETTINGS, *KINDS)
    said |= {name: value for name in texts if (value := given.pop(name, None)) is not None}
    if pairs := given.pop("metadata"):
        said["metadata"] = dict(pair.partition("=")[::2] for pair in pairs)
    return said | of_a_workspace(given)


def of_a_workspace(given: dict[str, Any]) -> dict[str, Any]:
    """The same of its own options. UsageError: one of them is not written as it must be."""
    said: dict[str, Any] = {}
    features = [each.rpartition("=")[::2] for each in given.pop("feature", ())]
    if wrong := [word for _, word in features if word not in ("on", "off")]:
        raise click.UsageError(f"--feature: {wrong[0]} is neither on nor off")
    if features:
        said["features"] = {name: word == "on" for name, word in features}
    units = [each.rpartition("=")[::2] for each in given.pop("quota", ())]
    if wrong := [number for _, number in units if not (number.isascii() and number.isdigit() and len(number) < 19)]:
        raise click.UsageError(f"--quota: {wrong[0]} is no whole number")
    quota: dict[str, Any] = {name: int(number) for name, number in units}
    if period := given.pop("quota_period", None):
        quota["period"] = period
    return said | ({"quota": quota} if quota else {})


@click.group()
def keys() -> None:
    """Make, limit, rotate and revoke keys. NAME is a key's name, or its id. A change is in force on all workers of the
    host when the command ends.
    """


@keys.command("list")
@as_json
@options
def list_(as_json: bool, **given: str | None) -> None:
    """List all keys, those of the configuration's file first."""
    admin, found, after = find(**given), list[dict[str, Any]](), ""
    while after is not None:
        page = admin.ask(f"/admin/keys?limit={PAGE}&after={quote(after)}", TIMEOUT)
        found, after = found + page["keys"], page["next"]
    click.echo(dumped(found) if as_json else columns([HEAD, *map(cells, found)]))


@keys.command()
@named
@as_json
@options
def show(name: str, as_json: bool, **given: str | None) -> None:
    """Show one key."""
    tell(find(**given).ask(path(name), TIMEOUT), as_json)


@keys.command()
@named
@as_json
@options
def limits(name: str, as_json: bool, **given: str | None) -> None:
    """Show what limits a key: its own limits, those of who stands behind it, the gateway's, and what is left."""
    found = find(**given).ask(path(name, "limits"), TIMEOUT)["limits"]
    lines = [(each["owner"], each["kind"], *(str(each.get(field, "-")) for field in ("limit", "left")),
              f"{each['full_in']:.0f} s" if "full_in" in each else "-") for each in found]
    click.echo(dumped(found) if as_json else columns([("of", "what", "at most", "left", "full in"), *lines]))


@keys.command()
@click.argument("name")
@policy(*OF_KEYS)
@as_json
@options
def create(name: str, as_json: bool, **given: Any) -> None:
    """Make a key; its secret is shown this once."""
    said = {"name": name, **body(given)}
    tell(find(**given).ask("/admin/keys", TIMEOUT, body=encoded(said)), as_json)


@keys.command("try")
@named
@click.argument("model")
@click.argument("text")
@as_json
@options
def try_(name: str, model: str, text: str, as_json: bool, **given: str | None) -> None:
    """Ask a model as the key would, with its models, limits and points; its secret is not needed."""
    said = encoded({"model": model, "messages": [{"role": "user", "content": text}]})
    admin = find(**given)
    status, found = admin.answer(f"/admin/playground/v1/chat/completions?key={quote(name)}", TIMEOUT, body=said)
    if not 200 <= status < 300:
        why = found.get("details", {}).get("condition")
        raise click.ClickException(f"{admin.url}: {why}: {found['message']}" if why else admin.wrong(status, found))
    click.echo(dumped(found) if as_json else printable(found["choices"][0]["message"]["content"] or ""))


@keys.command("set")
@named
@policy(*OF_KEYS)
@click.option("--unset", multiple=True, metavar="FIELD", help="Take this out, as `show` names it: expires, or "
              "rate_limit.tokens_per_minute.")
@as_json
@options
def set_(name: str, unset: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Change what a key may do. Lists are replaced; limits and metadata that are not named stay."""
    said = without(body(given), unset)
    tell(find(**given).ask(path(name), TIMEOUT, body=encoded(said), method="PATCH"), as_json)


def without(said: dict[str, Any], unset: tuple[str, ...]) -> dict[str, Any]:
    """A merge patch that takes these out, too. UsageError: it says what one of them is to be."""
    for field in unset:
        *outer, last = field.split(".", 1)
        inside = said.setdefault(outer[0], {}) if outer else said
        if not isinstance(inside, dict) or inside.get(last) is not None:
            raise click.UsageError(f"--unset {field}: another option says what it is to be")
        inside[last] = None
    return said


@keys.command()
@named
@click.option("--overlap", type=float, help="Seconds that the former secret still works; a day unless given.")
@as_json
@options
def rotate(name: str, overlap: float | None, as_json: bool, **given: str | None) -> None:
    """Give a key a new secret, which is shown this once; the former one works for a while."""
    said = encoded({} if overlap is None else {"overlap": overlap})
    tell(find(**given).ask(path(name, "rotate"), TIMEOUT, body=said), as_json)


@keys.command()
@named
@options
def delete(name: str, **given: str | None) -> None:
    """Forget a key. The audit knows it still."""
    find(**given).ask(path(name), TIMEOUT, method="DELETE")
    click.echo(f"{name}: deleted")


def action(word: str, about: str) -> None:
    """A command that changes a key's state."""
    @keys.command(word, help=about)
    @named
    @as_json
    @options
    def act(name: str, as_json: bool, **given: str | None) -> None:
        said = find(**given).ask(path(name, word), TIMEOUT, body=b"")
        click.echo(dumped(said) if as_json else f"{said['name']}: {said['state']}")


for _word, _about in (("revoke", "Refuse a key for good."), ("freeze", "Refuse a key for the time being."),
                      ("unfreeze", "Let a frozen key in again."), ("disable", "Switch a key off."),
                      ("enable", "Switch a disabled key on again.")):
    action(_word, _about)


def path(name: str, word: str | None = None) -> str:
    """Of a key's route."""
    return f"/admin/keys/{escaped(name)}{f'/{word}' if word else ''}"


def escaped(name: str) -> str:
    """As it stands in a URL, whatever bytes it is of."""
    return quote(name, safe="", errors="surrogateescape")


def encoded(said: dict[str, Any]) -> bytes:
    """JSON. UsageError: what is no number, or no text; as null it would take out what is there."""
    try:
        return json.dumps(said, ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        raise click.UsageError(f"an option cannot be sent as JSON: {error}") from None


def tell(key: dict[str, Any], as_json: bool) -> None:
    """A key; a secret first, as it cannot be had again."""
    if as_json:
        return click.echo(dumped(key))
    if secret := key.pop("secret", None):
        click.echo(f"The key's secret, shown this once:\n\n    {secret}\n")
    if key.get("pending_until"):
        click.echo(f"The former secret works until {key['pending_until']}.\n")
    click.echo(columns([(name, shown(value)) for name, value in key.items()
                        if value not in (None, [], {}) and name != "overlap"]))


def shown(value: Any) -> str:
    """A field for people."""
    if isinstance(value, dict):
        return ", ".join(f"{name}={each}" for name, each in value.items())
    return ", ".join(value) if isinstance(value, list) else str(value)


def cells(key: dict[str, Any]) -> tuple[str, ...]:
    """A line of the table."""
    return (key["name"], key["state"], key.get("masked", "-"), key["source"], key.get("expires") or "-",
            *(shown(key[name]) if key.get(name) else "-" for name in ("rate_limit", "models", "tags")),
            key["id"] if key["source"] == "store" else "-")


def dumped(value: Any) -> str:
    """For programs."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
