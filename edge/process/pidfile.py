"""The file by which commands find a running gateway: four lines, for its user alone.

    its process                         so `head -1` is what other tools want
    when that began                     in the kernel's ticks: a number that was given to another process later is known
    the URL of its admin port
    a token that opens the admin port   made for this run; whoever reads the file may do what its user may do anyway

It is a help to commands and no lock: who cannot write it serves all the same, unless the file was asked for by name.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.process.titles import titled

_token = ""                 # this gateway's; its children inherit it
_SIZE = 4096


def token() -> str:
    """What opens this gateway's admin port; empty where there is no file to learn it from."""
    return _token


class Taken(Exception):
    """The file was asked for by name, and another gateway's is there, or it cannot be written."""


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that runs. `handle` is a pidfd: a signal through it reaches that process or none."""

    path: Path
    pid: int
    admin: str
    token: str
    handle: int

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal. ProcessLookupError: it has ended."""
        signal.pidfd_send_signal(self.handle, number)

    def ended(self, seconds: float) -> bool:
        """Whether it has ended, or does within a time."""
        return bool(select.select([self.handle], [], [], seconds)[0])


def read(path: Path) -> Running | None:
    """The gateway of a file; None where it is none, another user's, or its process is not that one."""
    handle = -1
    try:
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_uid not in (0, os.geteuid()) and os.geteuid() != 0:
                return None
            pid, began, admin, word = stream.read(_SIZE).decode().splitlines()
        handle = os.pidfd_open(int(pid))        # before the look: it cannot become another's afterwards
        if began_at(int(pid)) == int(began) and titled(int(pid)).startswith("edge: super"):
            handle, kept = -1, handle
            return Running(path, int(pid), admin, word, kept)
    except (OSError, ValueError, OverflowError):
        pass
    finally:
        if handle >= 0:
            os.close(handle)
    return None


def began_at(pid: int) -> int:
    """When a process began, in ticks since the machine did (proc(5)). OSError: there is none."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[22 - 3])


def places(environ: Mapping[str, str], port: int) -> list[Path]:
    """Where the file may be, of a gateway with this admin port. The first is where one puts its own."""
    found = []
    if service := environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]:   # systemd.exec(5): the service's own
        found.append(Path(service, "edge.pid"))
    if session := environ.get("XDG_RUNTIME_DIR"):
        found.append(Path(session, "edge", f"{port}.pid"))
    if not found or os.geteuid() == 0:
        found += [Path("/run/edge", f"{port}.pid"), Path("/run/edge/edge.pid")]
    return found


@contextlib.contextmanager
def held(explicit: str | None, environ: Mapping[str, str], port: int, admin: str) -> Iterator[None]:
    """Keeps the file while the gateway runs. Taken."""
    global _token
    path = Path(explicit) if explicit else places(environ, port)[0]
    there = read(path)
    own = there is not None and there.pid == os.getpid()        # the image before an upgrade has left it
    if there is not None:
        os.close(there.handle)
    if there is not None and not own and explicit:
        raise Taken(f"{path}: edge runs already by it, as process {there.pid}")
    _token = there.token if there is not None and own else secrets.token_urlsafe(32)
    try:
        if not explicit:
            path.parent.mkdir(mode=0o755, exist_ok=True)
        _write(path, f"{os.getpid()}\n{began_at(os.getpid())}\n{admin}\n{_token}\n")
    except OSError as error:
        _token = ""
        if explicit:
            raise Taken(f"{path}: cannot be written: {error.strerror}") from None
        path = Path(os.devnull)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if path.read_bytes().startswith(b"%d\n" % os.getpid()):
                path.unlink()


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and nobody else's to read."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
        new.rename(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
