"""`edge serve`: the gateway, until it is told to stop."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from edge import __version__, config, notify, quickstart, simulator, upgrade
from edge.catalogue import Snapshot
from edge.supervisor import Supervisor


@click.command()
@click.option("--config", "path", metavar="FILE", help="The configuration. Default: $EDGE_CONFIG, ./edge.yaml, "
              "~/.edge/config.yaml, /etc/edge/config.yaml, ~/.tokenpak/config.yaml; with none of them, a quick start.")
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes. Default: one per core.")
@click.option("--debug", is_flag=True, help="Log every request.")
def serve(path: str | None, workers: int | None, debug: bool) -> None:
    """Run the gateway.

    \b
    Signals:  TERM  drain, then end              INT, QUIT  end now
              HUP   reload the configuration     USR2       upgrade: another program in the same process
    Exit:     0 stopped   1 failed   2 usage   78 configuration
    """
    overrides: dict[str, object] = {"workers": workers, "debug": debug or None}
    notify.take(os.environ)
    handed = upgrade.take(os.environ)

    def load(version: int) -> Snapshot:
        return config.load(path, overrides=overrides, version=version)

    try:
        if handed is not None and handed.trial:
            sys.exit(upgrade.rehearse(handed, load(handed.version + 1)))
        if handed is None and config.find(path) is None:
            sys.exit(quick_start(overrides))
        snapshot = load(1) if handed is None else handed.taken()
        for warning in snapshot.warnings:
            say(f"warning: {warning}", err=True)
        command = upgrade.Command([sys.executable, *sys.orig_argv[1:]], dict(os.environ))
        sys.exit(run(snapshot, load, started=announce, command=command, handed=handed))
    except config.ConfigError as error:
        click.echo(error.render(), err=True)
        sys.exit(error.exit_code)


def run(snapshot: Snapshot, reload: Callable[[int], Snapshot], **more: Any) -> int:
    """The supervisor, with an address that cannot be had said in words."""
    try:
        supervisor = Supervisor(snapshot, reload, **more)
    except OSError as error:
        click.echo(f"cannot listen on {snapshot.listen_addr}:{snapshot.port} (admin {snapshot.admin_addr}:"
                   f"{snapshot.admin_port}): {error.strerror}\n"
                   "    way out: stop what listens there, or set port / admin.port (EDGE_PORT, EDGE_ADMIN__PORT)",
                   err=True)
        return 1
    return supervisor.run()


def say(text: str, *, err: bool = False) -> None:
    """Prints, where that can be done: a full disk is no reason not to serve."""
    with contextlib.suppress(OSError):
        click.echo(text, err=err)


def announce(snapshot: Snapshot) -> None:
    """One line for people, when everything serves."""
    say(f"edge {__version__} serves on http://{snapshot.listen_addr}:{snapshot.port} with {snapshot.workers} "
        f"worker{'s' if snapshot.workers > 1 else ''}; metrics on "
        f"http://{snapshot.admin_addr}:{snapshot.admin_port}/metrics")


def quick_start(overrides: dict[str, object]) -> int:
    """No configuration: the providers whose keys are in the environment, else the simulator beside us."""
    sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
    snapshot, key, simulate = quickstart.snapshot(os.environ, sock.getsockname()[1], overrides=overrides)

    def started(serving: Snapshot) -> None:
        announce(serving)
        say(quickstart.banner(serving, key, simulate))

    pid = start_simulator(sock) if simulate else 0
    sock.close()
    try:
        return run(snapshot, lambda version: replace(snapshot, version=version), started=started)
    finally:
        if pid:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)


def start_simulator(sock: socket.socket) -> int:
    """The simulator in a process of its own; it dies with us."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        # A terminal's Ctrl-C is for the supervisor, which ends the simulator last.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        die_with(parent)
        simulator.run(sock)
        os._exit(0)
    return pid


def die_with(parent: int) -> None:
    """Asks Linux for SIGTERM when the parent ends, however it ends (prctl(2), PR_SET_PDEATHSIG)."""
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(0)
