"""`edge top`: a running gateway, as it is now and again every moment."""

from __future__ import annotations

import time
from contextlib import suppress

import click

from edge.cli.frame import Look, frame
from edge.cli.running import Admin, find, options
from edge.cli.screen import ENDED, RESIZED, Line, Screen, is_terminal, styled, write

TIMEOUT = 3.0               # seconds
LAST = 8                    # requests of which a line is told
LEAVE = ("q", "Q", ENDED)


@click.command()
@click.option("--once", is_flag=True, help="Print one frame and end; so it is where the output is no terminal.")
@click.option("--interval", type=click.FloatRange(0.1, 3600), default=2.0, show_default=True,
              help="Seconds between two looks.")
@options
def top(once: bool, interval: float, **given: str | None) -> None:
    """Watch a running gateway: traffic by model, providers, circuit breakers, limits, errors.

    Rates and times are of what happened between two looks; q or Ctrl-C leave.
    """
    watched = Watched(given)
    before = watched.look()
    if not once and is_terminal():
        with suppress(KeyboardInterrupt):
            watch(watched, before, interval)
        return
    time.sleep(interval)
    lines = frame(before, watched.look(), None)
    write("\n".join(styled(lines) if is_terminal() else [text for _, text in lines]) + "\n")


class Watched:
    """The gateway, found anew where it does not answer: after a restart its port and its token are others."""

    def __init__(self, given: dict[str, str | None]) -> None:
        self.given = given
        self.admin: Admin | None = None

    def look(self) -> Look:
        """One look at it. ClickException: it is not there, or lets us not look."""
        admin = self.admin or find(**self.given)
        self.admin = None
        status, stats = admin.ask("/admin/status", TIMEOUT), admin.ask("/stats", TIMEOUT)
        requests = admin.ask(f"/admin/requests?last={LAST}", TIMEOUT)["requests"]
        if not {"bounds", "limits"} <= stats.keys():
            raise click.ClickException(f"{admin.url}: an edge {status['version']} runs there, which is older than this "
                                       "command; it is upgraded by SIGUSR2")
        self.admin = admin
        return Look(time.monotonic(), admin.url, status, stats, requests)


def watch(watched: Watched, now: Look, interval: float) -> None:
    """The live view, until a key ends it."""
    before: Look | None = None
    wrong: list[Line] = []
    with Screen() as screen:
        while True:
            screen.show([*wrong, *frame(before, now, screen.size())])
            due = time.monotonic() + interval
            while (key := screen.wait(due - time.monotonic())) not in ("", *LEAVE):
                if key == RESIZED:
                    screen.show([*wrong, *frame(before, now, screen.size())])
            if key:
                return
            try:
                before, now, wrong = (None if wrong else now), watched.look(), []
            except click.ClickException as error:
                wrong = [("bad", f"{error.format_message()}; what follows is of the last look")]
