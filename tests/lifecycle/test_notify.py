"""systemd hears when it serves, reloads and stops (sd_notify(3)), over a path or an abstract socket."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import Gateway, configuration
from tests.support.simulator import Simulator
from tests.support.talk import ask, chat


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's socket."""
    name = str(tmp_path / "notify") if request.param == "path" else f"\0edge-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name)
        sock.settimeout(10)
        yield sock


def address(systemd: socket.socket) -> str:
    """What NOTIFY_SOCKET holds."""
    name = systemd.getsockname()
    return "@" + name[1:].decode() if isinstance(name, bytes) else str(name)


def heard(systemd: socket.socket) -> dict[str, str]:
    """The next message that is no sign of life."""
    while (text := systemd.recv(4096).decode()) == "WATCHDOG=1":
        pass
    return dict(line.split("=", 1) for line in text.splitlines())


def test_states(systemd: socket.socket, simulator: Simulator) -> None:
    """READY when it serves, RELOADING and READY around a reload, also of a broken file, STOPPING at the end."""
    config = configuration(simulator.url, workers=2)
    with Gateway(config, environ={"NOTIFY_SOCKET": address(systemd)}) as edge:
        assert heard(systemd)["READY"] == "1"
        assert ask(edge.port, chat()).status == 200
        for text in (edge.file.read_text(), "port: [\n"):
            edge.file.write_text(text)
            edge.process.send_signal(signal.SIGHUP)
            assert heard(systemd)["RELOADING"] == "1"
            assert heard(systemd)["READY"] == "1"
        edge.process.send_signal(signal.SIGTERM)
        assert heard(systemd)["STOPPING"] == "1"
        assert edge.process.wait(10) == 0


def test_watchdog(systemd: socket.socket, simulator: Simulator) -> None:
    """With WATCHDOG_USEC it gives signs of life well within that time, and does not without."""
    environ = {"NOTIFY_SOCKET": address(systemd), "WATCHDOG_USEC": "300000"}
    with Gateway(configuration(simulator.url), environ=environ):
        systemd.settimeout(0.3)
        told = [systemd.recv(4096) for _ in range(6)]
        assert told.count(b"WATCHDOG=1") >= 4


def test_a_deaf_manager(simulator: Simulator, tmp_path: Path) -> None:
    """A notification socket that nobody listens on keeps nobody from serving."""
    environ = {"NOTIFY_SOCKET": str(tmp_path / "nobody"), "WATCHDOG_USEC": "100000"}
    with Gateway(configuration(simulator.url), environ=environ) as edge:
        assert ask(edge.port, chat()).status == 200
        assert edge.reload().status_code == 200
