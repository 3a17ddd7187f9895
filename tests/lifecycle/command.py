"""`edge serve` as a user types it, without a configuration of ours."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

EDGE = [sys.executable, "-m", "edge"]


def bare(folder: Path, **variables: str) -> dict[str, str]:
    """An environment that knows no provider, no configuration and no proxy, on ports that the kernel chooses."""
    foreign = ("_API_KEY", "_BASE_URL", "_PROXY")
    ours = {name: value for name, value in os.environ.items()
            if not name.upper().endswith(foreign) and not name.startswith(("EDGE_", "SSL_"))}
    return {**ours, "HOME": str(folder), "PYTHONPATH": str(Path.cwd()), "EDGE_PORT": "0", "EDGE_ADMIN__PORT": "0",
            **variables}


class Command:
    """A running `edge serve`; `said` is what it has printed."""

    def __init__(self, folder: Path, environ: dict[str, str], *arguments: str) -> None:
        self.process = subprocess.Popen([*EDGE, "serve", *arguments], cwd=folder, env=environ, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self.said = ""

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def until(self, met: Callable[[str], bool], seconds: float = 20) -> str:
        """Reads what it prints until that meets the condition."""
        assert self.process.stdout is not None
        end = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while not met(self.said):
                assert selector.select(max(0.0, end - time.monotonic())), f"it said no more than {self.said!r}"
                piece = os.read(self.process.stdout.fileno(), 65536)
                assert piece, f"it ended with {self.process.wait()}: {self.said!r} {self.error()}"
                self.said += piece.decode()
        return self.said

    def error(self) -> str:
        """What it wrote to standard error up to its end."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()


def family(pid: int) -> list[int]:
    """A process's descendants."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    children = [int(child) for child in text.split()]
    return children + [further for child in children for further in family(child)]


def lives(pid: int) -> bool:
    """Whether a process runs (one that has ended and awaits its parent does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
