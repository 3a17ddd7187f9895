"""`edge fleet`: the hosts that share limits with a running gateway, and what it holds of them."""

from __future__ import annotations

import time
from typing import Any

import click

from edge.cli.circuits import columns
from edge.cli.running import find, options

TIMEOUT = 5.0               # seconds
HOSTS = ("host", "node", "version", "configuration", "read", "limits", "lag", "last word")
CIRCUITS = ("target", "generation", "state", "probe")
LIMITS = ("limit", "rate", "burst", "held here", "fleet's left", "demand", "hosts", "state")
CONCURRENCY = ("concurrent requests", "most", "used here", "held here", "fleet's left", "others lack", "state")


@click.command()
@options
def fleet(**given: str | None) -> None:
    """Show the hosts that share limits with a running gateway through Redis, and the limits that are in use."""
    said = find(**given).ask("/admin/fleet", TIMEOUT)
    if said["redis"] is None:
        click.echo("No fleet: the configuration has no redis, and each host's limits are its own.")
        return
    redis = said["redis"]
    how = f"{'slow' if redis['slow'] else 'answers'} ({redis['lag'] * 1000:.1f} ms)"
    if redis["state"] != "answers":
        how = f"is away for {time.time() - redis['since']:.0f} s: {redis['reason'] or 'no answer yet'}"
    click.echo(f"Redis {', '.join(redis['nodes'])} ({redis['kind']}, prefix {redis['prefix']}) {how}\n"
               f"This host's clock is {redis['offset'] * 1000:+.0f} ms beside its.\n")
    for each in redis["faults"]:
        click.echo(f"{each['key']}: {each['reason']}\n")
    click.echo(columns([HOSTS, *(host(each, said["host"]) for each in said["hosts"])]))
    click.echo("\n" + columns([LIMITS, *map(limit, said["limits"])]))
    if said["concurrency"]:
        click.echo("\n" + columns([CONCURRENCY, *map(counted, said["concurrency"])]))
    if said["circuits"]:
        click.echo("\n" + columns([CIRCUITS, *map(circuit, said["circuits"])]))


def host(each: dict[str, Any], own: str) -> tuple[str, ...]:
    """A host's cells."""
    read = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.get("read_at", 0)))
    return (each["host"] + (" (this)" if each["host"] == own else ""), str(each.get("node", "?")),
            str(each.get("version", "?")), str(each.get("config_version", "?")), read, str(each.get("limits", "?")),
            f"{each.get('lag', 0) * 1000:.1f} ms", f"{each['age']:.1f} s ago")


def circuit(each: dict[str, Any]) -> tuple[str, ...]:
    """A circuit's cells."""
    return each["target"], str(each["generation"]), each["state"], "this host's" if each["probing"] else "-"


def limit(each: dict[str, Any]) -> tuple[str, ...]:
    """A limit's cells."""
    return (each["limit"], f"{each['rate']:g}/s", str(each["burst"]), str(each["held"]), str(each["left"]),
            f"{each['demand']:.1f}/s", str(each["hosts"]), state(each))


def counted(each: dict[str, Any]) -> tuple[str, ...]:
    """A limit of concurrent requests."""
    name = each["limit"].removeprefix("concurrent_requests@")
    return (name, *(str(each[member]) for member in ("most", "used", "held", "left", "claims")), state(each))


def state(each: dict[str, Any]) -> str:
    """How a limit is shared."""
    return each["fault"] or (
        "alone" if each["degraded"] else "another configuration's" if each["foreign"] else "shared")
