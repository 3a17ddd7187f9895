"""A fleet for tests: gateways that share limits through a Redis of their own, before a provider that remembers."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from tests.fleet.faults import Stage
from tests.fleet.server import Server
from tests.fleet.upstream import Upstream
from tests.support.gateway import KEY, Gateway

PATH = "/v1/chat/completions"
PATIENCE = 0.1              # of a machine that does other things too: beyond it a host's own share helps out
LEASE = 1.1                 # seconds for which an epoch rests before it lends anything


def body(**members: Any) -> bytes:
    """A request for a completion."""
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}).encode()


def configuration(upstream: Upstream, url: str, limit: dict[str, Any], name: str = "test",
                  **changes: Any) -> dict[str, Any]:
    """A host's: one provider, and one key with this limit. `changes` replace top-level keys, but for `redis`."""
    return {
        "port": 0, "listen_addr": "127.0.0.1", "admin": {"port": 0}, "workers": 1,
        "providers": {"up": {"kind": "openai", "base_url": f"{upstream.url}/v1", "key": "env:PROVIDER_KEY"}},
        "keys": [{"name": name, "key": "env:TEST_KEY", "rate_limit": limit}],
        **changes, "redis": {"url": url, "patience": PATIENCE, **changes.get("redis", {})}}


class Client:
    """One connection to one host. `lent` are the answers' ids of requests that Redis has not granted."""

    def __init__(self, gateway: Gateway) -> None:
        self.lent: list[str] = []
        self.connection = http.client.HTTPConnection(gateway.address, gateway.port, timeout=30)

    def ask(self, sent: bytes | None = None, more: dict[str, str] | None = None) -> tuple[int, dict[str, str], float]:
        """Status, fields and seconds of a request."""
        begun = time.monotonic()
        self.connection.request("POST", PATH, sent or body(), {
            "authorization": f"Bearer {KEY}", "content-type": "application/json", **(more or {})})
        answer = self.connection.getresponse()
        text, fields = answer.read(), {name.lower(): value for name, value in answer.getheaders()}
        if answer.status == 200 and "x-edge-degraded" in fields:
            self.lent.append(json.loads(text)["id"])
        return answer.status, fields, time.monotonic() - begun


class Rack:
    """Runs while the `with` block does. `hosts` are gateways."""

    def __init__(self, server: Server | Stage, limit: dict[str, Any], *, hosts: int = 3,
                 upstream: Upstream | None = None, **changes: Any) -> None:
        self.server, self.count, self.limit, self.changes = server, hosts, limit, changes
        self.upstream = upstream or Upstream()
        self.stack = ExitStack()
        self.name, self.given, self.used, self.lines = "test", changes, 0, 0

    def __enter__(self) -> Rack:
        self.stack.enter_context(self.upstream)
        self.hosts = [self.stack.enter_context(self.host()) for _ in range(self.count)]
        for host in self.hosts:
            host.wait(lambda host=host: host.metric("edge_fleet_hosts") == self.count)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stack.__exit__(kind, error, trace)

    def host(self) -> Gateway:
        """One more, to be entered."""
        return Gateway(self.configuration())

    def configuration(self, **changes: Any) -> dict[str, Any]:
        """Each host's."""
        return configuration(self.upstream, self.server.url, changes.pop("limit", self.limit), self.name,
                             **{**self.changes, **changes})

    def use(self, limit: dict[str, Any], full: float, **changes: Any) -> None:
        """All hosts have another limit, of a key that was not used yet, which is as full as after so many seconds."""
        self.used += 1
        self.name, self.limit, self.changes = f"test-{self.used}", limit, {**self.given, **changes}
        for host in self.hosts:
            assert host.reload(self.configuration()).status_code == 200
            host.wait(lambda host=host: host.metric("edge_fleet_hosts") == self.count
                      and host.metric("edge_redis_state", state="answers") == 1)
        self.rest(full)
        self.upstream.forget()
        self.lines = len(self.hosts[0].log_lines())

    def rest(self, seconds: float) -> None:
        """The limits are as full as after so many seconds."""
        server = self.server.server if isinstance(self.server, Stage) else self.server
        server.age(LEASE + seconds)

    def load(self, seconds: float, clients: int = 2, hosts: list[Gateway] | None = None,
             sent: Callable[[], bytes] = body) -> list[tuple[float, int, float]]:
        """All clients of all hosts ask for so long, one request after the other: (when it ended, status, seconds)."""
        found: list[tuple[float, int, float]] = []
        until = time.monotonic() + seconds

        def run(host: Gateway) -> None:
            client = Client(host)
            while time.monotonic() < until:
                status, _, took = client.ask(sent())
                found.append((time.monotonic(), status, took))
            self.upstream.lent.update(client.lent)
        threads = [threading.Thread(target=run, args=(host,)) for host in hosts or self.hosts for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found


class Traffic:
    """Requests at a pace, of one client of each host, while the `with` block does; `found` as `Rack.load` gives it."""

    def __init__(self, hosts: list[Gateway], rate: float) -> None:
        self.found: list[tuple[float, int, float]] = []
        self.ended = threading.Event()
        self.clients = [Client(host) for host in hosts]
        self.threads = [threading.Thread(target=self.run, args=(client, 1 / rate)) for client in self.clients]

    @property
    def lent(self) -> set[str]:
        """What Redis has not granted: see Client."""
        return {each for client in self.clients for each in client.lent}

    def run(self, client: Client, pause: float) -> None:
        """One of them."""
        while not self.ended.wait(pause):
            status, _, took = client.ask()
            self.found.append((time.monotonic(), status, took))

    def __enter__(self) -> Traffic:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()


def statuses(found: list[tuple[float, int, float]]) -> Counter[int]:
    """How many there were of each."""
    return Counter(status for _, status, _ in found)
