"""`edge reload`, `edge stop`, `edge status`: a running gateway, from the outside."""

from __future__ import annotations

import signal
import time
from typing import Any

import click
import orjson

from edge.cli.running import Admin, find, options
from edge.cli.streams import tell
from edge.config import EX_CONFIG, ConfigError, Place, Problem

ANSWER_SECONDS = 5.0
RELOAD_SECONDS = 130.0          # control gives the supervisor 120
LOOK_SECONDS = 0.1
GRACE_SECONDS = 10.0            # from the end of the drain's time to giving up


@click.command()
@options
def reload(**given: str | None) -> None:
    """Let a running gateway read its configuration again, and wait for the outcome.

    Prints the version that is then in force; or every problem, with exit code 78, and nothing has changed.
    """
    admin = find(**given)
    status, answer = admin.answer("/admin/reload", RELOAD_SECONDS, body=b"")
    if status != 200:
        if problems := [problem(each) for each in answer.get("problems", [])]:
            tell(ConfigError(problems).render())
            raise click.exceptions.Exit(EX_CONFIG)
        raise click.ClickException(admin.wrong(status, answer))
    config = admin.ask("/admin/status", ANSWER_SECONDS)["config"]
    for warning in config["warnings"]:
        tell(f"warning: {warning}")
    click.echo(f"configuration version {answer['version']} in force: {config['source']}")


def problem(said: dict[str, Any]) -> Problem:
    """One of the answer's."""
    return Problem(said["code"], Place(said["file"], said["line"], said["column"]), said["key"] or "",
                   said["message"], said["way_out"])


@click.command()
@options
@click.option("--now", is_flag=True, help="Cut what is on its way.")
def stop(now: bool, **given: str | None) -> None:
    """Stop a running gateway and wait for its end.

    Requests on their way get `drain_timeout` to end; what is waited for is said.
    """
    admin = find(**given)
    try:
        seconds = admin.ask(f"/admin/stop{'?now=true' if now else ''}", ANSWER_SECONDS, body=b"")["drain_timeout"]
    except click.ClickException:
        if admin.running is None:
            raise
        admin.running.signal(signal.SIGINT if now else signal.SIGTERM)      # control may be what is ill
        seconds = ANSWER_SECONDS
    if not ended(admin, float(seconds)):
        raise click.ClickException(f"it has not ended in {seconds + GRACE_SECONDS:g} s; --now cuts what is on its way")
    click.echo("stopped")


def ended(admin: Admin, seconds: float) -> bool:
    """Waits for the end, and says what it waits for when that changes."""
    end, told = time.monotonic() + seconds, ""
    while time.monotonic() < end + GRACE_SECONDS:
        if admin.running is not None and admin.running.ended(LOOK_SECONDS):
            return True
        try:
            number = admin.ask("/admin/status", ANSWER_SECONDS)["in_flight"]
        except click.ClickException:
            if admin.running is None:
                return True
            continue
        left = max(0.0, end - time.monotonic())
        if number and told != (told := f"{number} request{'s' if number > 1 else ''}"):
            click.echo(f"waiting for {told}, {left:.0f} s at most")
        if admin.running is None:
            time.sleep(LOOK_SECONDS)
    return False


@click.command()
@options
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(as_json: bool, **given: str | None) -> None:
    """Show what runs: program, configuration, processes, connections, requests, and targets that are out."""
    found = find(**given).ask("/admin/status", ANSWER_SECONDS)
    click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() if as_json else shown(found))


def shown(found: dict[str, Any]) -> str:
    """For people."""
    config = found["config"]
    lines = [f"edge {found['version']}, process {found['pid']}, {'draining' if found['draining'] else 'serving'} "
             f"for {lasting(found['uptime'])}",
             f"configuration version {config['version']}: {config['source']}, {counted(config['warnings'], 'warning')}",
             f"{found['connections']} connections, {found['in_flight']} requests in flight"]
    if found["maintenance"]:
        lines.append(f"maintenance until {found['maintenance']['until'] or '`edge maintenance off`'}")
    for each in found["workers"]:
        lines.append(f"  worker {each['worker']}: process {each['pid'] or '-'}, {each['connections']} connections, "
                     f"{each['in_flight']} requests, {each['restarts']} restarts")
    for each in found["targets_out"]:
        lines.append(f"  target out: {each['target']} ({each['state']}, by {each['by']})")
    return "\n".join(lines + ([] if found["targets_out"] else ["no target is out"]))


def counted(things: list[Any], noun: str) -> str:
    """How many."""
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def lasting(seconds: float) -> str:
    """A time in its two largest units."""
    whole, parts = int(seconds), list[str]()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if whole >= size or (unit == "s" and not parts):
            parts.append(f"{whole // size} {unit}")
            whole %= size
    return " ".join(parts[:2])
