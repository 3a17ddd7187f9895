"""Gateways by fork: a process that has imported the program once begins each of them as a copy of itself.

Hundreds of gateways start in the tests, and three quarters of what a start costs are imports. A copy is what
`python -m edge` is from its first line on: a session, an environment, arguments, limits and descriptors of its own, and
a child of the tests' process. What must begin as users' processes do is started without this: commands, memory, other
versions.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import resource
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import orjson

ROOT = Path(__file__).parents[2]
# What a gateway imports sooner or later, in whichever of its processes.
IMPORTED = ("edge.cli.serve", "edge.config.reading", "edge.control.app", "edge.control.process", "edge.worker.process",
            "edge.supervisor.process")
# What the interpreter, and what the loader and the allocator read at their own start, which a copy has behind it.
PYTHONS = "PYTHON"
LOADERS = ("LD_", "MALLOC_", "GLIBC_")
ROOM = "-" * 64             # of the arguments, over which a process writes its title
LONGEST = 1 << 20           # bytes of a request
PR_SET_CHILD_SUBREAPER = 36     # prctl(2)


def prctl(option: int, value: int) -> None:
    """OSError."""
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


class Child:
    """A child of this process: as much of subprocess.Popen as tests ask of a gateway's."""

    def __init__(self, pid: int, stdout: IO[bytes]) -> None:
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None
        self.end = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """The exit code; None: it runs."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, or the signal below 0. TimeoutExpired."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("edge serve", timeout or 0.0)
        return code

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self.end], [], [], timeout)[0]:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self.end)
            self.stdout.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it."""
        self.send_signal(signal.SIGKILL)


@contextmanager
def adopting() -> Any:
    """Grandchildren that lose their parent meanwhile are children of this process."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, 0)


class ForkServer:
    """The process; it ends with this one."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            subprocess.Popen([sys.executable, "-m", __name__, str(theirs.fileno()), "serve", ROOM], cwd=ROOT,
                             env=environ, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)

    def begin(self, arguments: list[str], environ: dict[str, str], errors: IO[bytes]) -> Child:
        """`python -m edge` with these arguments; its standard output is a pipe."""
        out, into = os.pipe()
        request = orjson.dumps({"arguments": arguments, "environ": environ, "cwd": str(Path.cwd()),
                                "files": resource.getrlimit(resource.RLIMIT_NOFILE)})
        with adopting():
            socket.send_fds(self.ours, [request], [into, errors.fileno()])
            os.close(into)
            pid = int(self.ours.recv(64))
        return Child(pid, os.fdopen(out, "rb"))


class ForkServers:
    """One for each environment of the interpreter's, from the second gateway on that has it."""

    def __init__(self) -> None:
        self.made: dict[tuple[tuple[str, str], ...], ForkServer | None] = {}

    def of(self, environ: dict[str, str]) -> ForkServer | None:
        """The one for such a gateway. None: it is the first of its kind, maybe the only one, or it has a library of
        its own loaded, which reads more than its name."""
        if any(environ.get(name) != os.environ.get(name) for name in {*environ, *os.environ}
               if name.startswith(LOADERS)):
            return None
        kind = tuple(sorted((name, value) for name, value in environ.items() if name.startswith(PYTHONS)))
        if kind not in self.made:
            self.made[kind] = None
        elif self.made[kind] is None:
            self.made[kind] = ForkServer(environ)
        return self.made[kind]


def serve(requests: socket.socket) -> None:
    """The process's life: for each request a child of whoever asks, until he has gone."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, LONGEST, 2)
        if not request:
            return
        out, into = os.pipe()
        between = os.fork()
        if between == 0:
            pid = os.fork()
            if pid == 0:
                os.close(out)
                os.close(into)
                become(orjson.loads(request), descriptors, requests)
            os.write(into, str(pid).encode())
            os._exit(0)
        for descriptor in (into, *descriptors):
            os.close(descriptor)
        os.waitpid(between, 0)          # from here on its child is the asker's
        requests.send(os.read(out, 64))
        os.close(out)


def become(request: dict[str, Any], descriptors: list[int], requests: socket.socket) -> None:
    """The gateway's life."""
    os.setsid()
    requests.close()
    for number, descriptor in enumerate(descriptors, 1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, tuple(request["files"]))
    os.environ.clear()
    os.environ.update(request["environ"])
    time.tzset()
    os.chdir(request["cwd"])
    sys.argv = ["edge", *request["arguments"]]
    sys.orig_argv[1:] = ["-m", "edge", *request["arguments"]]
    code: object = 1
    try:
        runpy.run_module("edge", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else code is not None)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
