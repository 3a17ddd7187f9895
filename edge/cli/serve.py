"""`edge serve`: the gateway, until it is told to stop."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from edge import __version__, config, supervisor
from edge.cli.streams import say, tell
from edge.net.addresses import authority, url_of
from edge.process import notify, pidfile
from edge.process.apart import Ended, apart
from edge.process.titles import entitle
from edge.values.snapshot import Snapshot


@click.command()
@click.option("--config", "path", metavar="FILE", help="The configuration. Default: $EDGE_CONFIG, ./edge.yaml, "
              "~/.edge/config.yaml, /etc/edge/config.yaml, ~/.tokenpak/config.yaml; with none of them, a quick start.")
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes. Default: one per core.")
@click.option("--debug", is_flag=True, help="Log every request.")
@click.option("--pidfile", "pid", envvar="EDGE_PIDFILE", show_envvar=True, metavar="FILE",
              help="Where `edge reload`, `stop` and `status` find this gateway. Default: in $RUNTIME_DIRECTORY, "
              "$XDG_RUNTIME_DIR/edge or /run/edge, where that can be.")
def serve(path: str | None, workers: int | None, debug: bool, pid: str | None) -> None:
    """Run the gateway.

    \b
    Signals:  TERM  drain, then end              INT, QUIT  end now
              HUP   reload the configuration     USR2       upgrade: another program in the same process
    Exit:     0 stopped   1 failed   2 usage   78 configuration
    """
    overrides: dict[str, object] = {"workers": workers, "debug": debug or None}
    notify.take(os.environ)
    handed = supervisor.take(os.environ)

    def load(version: int) -> Snapshot:
        return config.load(path, overrides=overrides, version=version)

    def reload(version: int) -> Snapshot:
        snapshot = apart(lambda: load(version))
        logger = logging.getLogger("edge")
        for warning in snapshot.warnings:
            logger.warning("configuration version %d: %s", version, warning)
        return snapshot

    try:
        if handed is not None and handed.trial:
            sys.exit(supervisor.rehearse(handed, load(handed.version + 1)))
        if handed is None and config.find(path) is None:
            sys.exit(quick_start(overrides, pid))
        snapshot = first(lambda: load(1)) if handed is None else handed.taken()
        begin(snapshot, chosen=path is not None or "EDGE_CONFIG" in os.environ)
        command = supervisor.Command([sys.executable, *sys.orig_argv[1:]], dict(os.environ))
        sys.exit(run(snapshot, reload, pid, started=announce, command=command, handed=handed))
    except config.ConfigError as error:
        tell(error.render())
        sys.exit(error.exit_code)


def first(load: Callable[[], Snapshot]) -> Snapshot:
    """The configuration, read in a process of its own, which may come to nothing for want of room or memory."""
    try:
        return apart(load)
    except (Ended, OSError) as error:
        raise click.ClickException(f"the configuration cannot be read: {error}") from None


def begin(snapshot: Snapshot, *, chosen: bool) -> None:
    """The first line: what is about to run. Of a file that nobody named, why it was taken. Then its warnings."""
    found = "" if chosen else " (found there; --config names another)"
    number = len(snapshot.warnings)
    say(f"edge {__version__}: {snapshot.source}{found}, configuration version {snapshot.version}, "
        f"{number} warning{'' if number == 1 else 's'}")
    for warning in snapshot.warnings:
        tell(f"warning: {warning}")


def run(snapshot: Snapshot, reload: Callable[[int], Snapshot], pid: str | None, **more: Any) -> int:
    """The supervisor, with an address that cannot be had said in words."""
    entitle("edge: supervisor")
    try:
        gateway = supervisor.Supervisor(snapshot, reload, **more)
    except OSError as error:
        tell(refused(snapshot, error))
        return 1
    serving = gateway.serving()
    try:
        with pidfile.held(pid, os.environ, serving.admin_port, url_of(serving.admin_addr, serving.admin_port)):
            return gateway.run()
    except pidfile.Taken as error:
        tell(f"{error}\n    way out: name another with --pidfile, or stop what runs by it (edge stop --pidfile)")
        return 1


# What a socket that cannot listen means to who has chosen the address, and what to do; by errno.
_WAYS_OUT = {
    errno.EADDRINUSE: "stop what listens there, or set {port}",
    errno.EADDRNOTAVAIL: "this machine has no such address (`ip addr` lists those it has): set {host}, 0.0.0.0 for all",
    errno.EACCES: "ports below 1024 are root's: set {port}, or give the service CAP_NET_BIND_SERVICE",
    errno.EAFNOSUPPORT: "IPv6 is off on this machine: set {host}",
    errno.EINVAL: "a link-local address needs its interface, as in fe80::1%eth0: set {host}"}


def refused(snapshot: Snapshot, error: OSError) -> str:
    """Which of the two addresses cannot be had, why, and the way out."""
    admin = getattr(error, "filename", None) == authority(snapshot.admin_addr, snapshot.admin_port)
    names = {"port": "admin.port (EDGE_ADMIN__PORT)", "host": "admin.listen_addr (EDGE_ADMIN__LISTEN_ADDR)"} if admin \
        else {"port": "port (EDGE_PORT)", "host": "listen_addr (EDGE_LISTEN_ADDR)"}
    way_out = _WAYS_OUT.get(error.errno or 0, "set {host} or {port}").format(**names)
    return f"cannot listen on {error.filename}: {error.strerror}\n    way out: {way_out}"


def announce(snapshot: Snapshot) -> None:
    """One line for people, when everything serves."""
    say(f"edge {__version__} serves on http://{authority(snapshot.listen_addr, snapshot.port)} with {snapshot.workers} "
        f"worker{'s' if snapshot.workers > 1 else ''}; metrics on "
        f"http://{authority(snapshot.admin_addr, snapshot.admin_port)}/metrics")


def quick_start(overrides: dict[str, object], pid: str | None) -> int:
    """No configuration: the providers whose keys are in the environment, else the simulator beside us."""
    from edge.cli import quickstart

    sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
    snapshot, key, simulate = quickstart.snapshot(os.environ, sock.getsockname()[1], overrides=overrides)

    def started(serving: Snapshot) -> None:
        announce(serving)
        say(quickstart.banner(serving, key, simulate))

    begin(snapshot, chosen=True)
    player = start_simulator(sock) if simulate else 0
    sock.close()
    try:
        return run(snapshot, lambda version: replace(snapshot, version=version), pid, started=started)
    finally:
        if player:
            os.kill(player, signal.SIGTERM)
            os.waitpid(player, 0)


def start_simulator(sock: socket.socket) -> int:
    """The simulator in a process of its own; it dies with us."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        # A terminal's Ctrl-C is for the supervisor, which ends the simulator last.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        die_with(parent)
        entitle("edge: simulator")
        from edge import simulator

        simulator.run(sock)
        os._exit(0)
    return pid


def die_with(parent: int) -> None:
    """Asks Linux for SIGTERM when the parent ends, however it ends (prctl(2), PR_SET_PDEATHSIG)."""
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(0)
