"""`edge why`: what happened to one request, attempt by attempt, and what to do about it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from edge import contract
from edge.cli.running import find, options
from edge.values.printable import printable

TIMEOUT = 5.0               # seconds


@click.command()
@click.argument("request_id")
@options
def why(request_id: str, **given: str | None) -> None:
    """Tell what happened to the request of REQUEST_ID (x-request-id): of the last that a running gateway has seen fail,
    refused, or needing another attempt.
    """
    said = find(**given).ask(f"/admin/requests?id={quote(request_id, safe='')}", TIMEOUT)["request"]
    if said is None:
        raise click.ClickException(f"nothing is kept of {request_id}: it went well, another host served it, or so many "
                                   "others have failed since; of a flood of refusals some are kept. The access log, if "
                                   "there is one, has all.")
    click.echo("\n".join(map(printable, story(said))))


def story(said: dict[str, Any]) -> list[str]:
    """A request's line as a person would tell it."""
    known = " ".join(f"{name} {said[name]}" for name in ("key", "model", "address") if name in said)
    lines = [f"{said['time']} {said.get('method', '')} {said.get('path', '')}  {known}"]
    for each in said.get("failed", ()):
        how = ", ".join(str(each[name]) for name in ("upstream_status", "reason", "upstream_request_id")
                        if name in each)
        lines.append(f"  attempt {each['attempt']} at {each['target']}: {each['condition']}"
                     f"{f' ({how})' if how else ''} after {each['at']:.3f} s")
    end = f"answered {said['status']}" if "status" in said else "no answer"
    lines.append(f"  end: {said['condition']}, {end} after {said['seconds']:.3f} s, {said['attempts']} attempts"
                 f"{f', the last at {target}' if (target := said.get('target')) else ''}")
    conditions = dict.fromkeys([said["condition"], *(each["condition"] for each in said.get("failed", ()))])
    for name in conditions:
        meaning = contract.meanings().get(name)
        if meaning is not None:
            lines += ["", f"{name} (whose fault: {meaning.blame}; a retry: {meaning.retry})", f"  {meaning.summary}",
                      f"  Cause: {meaning.cause}", f"  Fix: {meaning.fix}"]
    return lines
