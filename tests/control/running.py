"""A control process as the supervisor would start it; the test is the supervisor."""

from __future__ import annotations

import http.client
import os
import select
import signal
import socket
from dataclasses import dataclass
from typing import Any

import orjson

from edge import contract, control
from edge._fast import Slab
from edge.process.channel import Commit, Kind, Prepare, Record, Records, publish, send
from edge.values.registry import Registry, apply, prepare
from edge.values.snapshot import Key, Limit, Model, Provider, Secret, Snapshot, Target

WAIT_SECONDS = 20.0
CONTRACTS = (("openai", "openai"), ("anthropic", "anthropic"))


def make_snapshot(**changes: Any) -> Snapshot:
    """Two providers, a name and a pattern on each, two keys and a limit; `changes` are fields."""
    fields: dict[str, Any] = {
        "version": 1, "port": 1, "listen_addr": "127.0.0.1", "workers": 2,
        "admin_addr": "127.0.0.1", "admin_port": 2,
        "providers": (Provider("first", "openai", "https://first.test/v1", (Secret("sk-provider"),)),
                      Provider("second", "anthropic", "https://second.test")),
        "models": (Model("gpt-5", (Target("first"),)), Model("claude-*", (Target("second"),))),
        "keys": (Key("alice", b"a" * 32, Limit(1, 5)), Key("bob", b"b" * 32)),
        "limit": Limit(10, 20)}
    fields |= changes
    return Snapshot(wording=contract.values(fields.get("contracts", CONTRACTS)), **fields)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's value."""
        return orjson.loads(self.body)


class Running:
    """One control process, its shared memory, and the supervisor's end of its channel."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.slab = Slab(snapshot.workers)
        self.registry = Registry()
        apply(self.slab, self.registry, snapshot, prepare(self.slab, self.registry, snapshot))
        self.channel, theirs = socket.socketpair()
        self.reader = Records(self.channel)
        with theirs, socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
            self.pid = os.fork()
            if self.pid == 0:
                try:
                    self.channel.close()
                    control.run(control.Inheritance(self.slab, self.registry, snapshot, theirs, listener))
                finally:
                    os._exit(0)

    def hear(self) -> Record:
        """The next record of the process."""
        assert select.select([self.channel], [], [], WAIT_SECONDS)[0]
        records = self.reader.read()
        assert records is not None and len(records) == 1
        return records[0]

    def prepare(self, snapshot: Snapshot, serial: int = 7) -> Record:
        """The first phase of a version, and what the process says to it."""
        memory = publish(snapshot, self.registry)
        send(self.channel, Prepare(serial), memory)
        os.close(memory)
        return self.hear()

    def take_over(self, snapshot: Snapshot) -> None:
        """Both phases."""
        assert self.prepare(snapshot) == Record(Kind.READY, 7)
        send(self.channel, Commit(7))
        assert self.hear() == Record(Kind.SERVING, snapshot.version)

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        """One request on a connection of its own; `_` in a field's name stands for `-`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_SECONDS)
        try:
            fields = {name.replace("_", "-"): headers[name] for name in headers}
            connection.request(method, path, body, fields)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def raw(self, data: bytes) -> bytes:
        """Everything that comes back for some bytes, until the process closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_SECONDS) as connection:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def ended(self) -> bool:
        """Whether the process ends by itself."""
        handle = os.pidfd_open(self.pid)
        try:
            return bool(select.select([handle], [], [], WAIT_SECONDS)[0])
        finally:
            os.close(handle)

    def close(self) -> None:
        """No process is left behind."""
        self.channel.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
