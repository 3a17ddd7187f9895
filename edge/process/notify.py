"""systemd's notification protocol (sd_notify(3)): one datagram to NOTIFY_SOCKET."""

from __future__ import annotations

import socket
from collections.abc import Mapping

_address: str | None = None
_watchdog: float | None = None


def take(environ: Mapping[str, str]) -> None:
    """Reads NOTIFY_SOCKET and WATCHDOG_USEC."""
    global _address, _watchdog
    _address = environ.get("NOTIFY_SOCKET")
    microseconds = environ.get("WATCHDOG_USEC", "")
    _watchdog = int(microseconds) / 1e6 if microseconds.isdigit() else None


def watchdog_seconds() -> float | None:
    """How often systemd wants a sign of life; None: it does not."""
    return _watchdog


def send(state: str) -> None:
    """Tells systemd, where it listens. Its deafness is no reason to fail."""
    if not _address:
        return
    address = "\0" + _address[1:] if _address.startswith("@") else _address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(state.encode(), address)
        except OSError:
            return
