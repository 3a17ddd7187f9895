"""Health checks: providers that have a `health_check` are asked now and then whether they are well."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import ssl
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from edge.net.failures import FAILURES, reason
from edge.net.reach import Reach
from edge.net.requests import heads, joined, place
from edge.values.snapshot import HealthCheck, Provider

MAX_ANSWER = 65536          # bytes within which the status must have come
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r]")
_STATUS_BYTES = 13

log = logging.getLogger("edge")
Mark = Callable[[str, bool], None]
Jitter = Callable[[], float]


class Checks:
    """All checks of a process. `mark(provider's name, whether it is well)` hears of every verdict that is new.

    A provider is well until a verdict says otherwise. `jitter` gives numbers from 0 to 1.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, mark: Mark, jitter: Jitter = random.random) -> None:
        self.reach = Reach(loop)
        self.mark = mark
        self.jitter = jitter
        self.running: dict[str, tuple[Check, asyncio.Task[None]]] = {}

    def load(self, providers: Iterable[Provider]) -> None:
        """One version of the configuration. Checks of providers that did not change go on; the others begin anew."""
        self.reach.forget()
        wanted = {provider.name: provider for provider in providers if provider.health_check is not None}
        for name, (check, task) in list(self.running.items()):
            if wanted.get(name) == check.provider:
                del wanted[name]
                continue
            task.cancel()
            del self.running[name]
            if check.well is False:
                self.mark(name, True)
        for name, provider in wanted.items():
            check = Check(self.reach, provider, self.mark)
            self.running[name] = check, self.reach.loop.create_task(check.run(self.jitter()))

    def expiries(self) -> dict[str, float]:
        """When the providers' certificates end (Unix time), by name: of those that have shown one."""
        return {name: check.expires for name, (check, _) in self.running.items() if check.expires is not None}


class Check:
    """One provider's. `well` is the verdict, None before the first one; `expires` is its certificate's end."""

    def __init__(self, reach: Reach, provider: Provider, mark: Mark) -> None:
        assert provider.health_check is not None
        self.rule: HealthCheck = provider.health_check
        self.reach = reach
        self.provider = provider
        self.request = request(provider, self.rule.path)
        self.mark = mark
        self.well: bool | None = None
        self.expires: float | None = None
        self.last: bool | None = None
        self.row = 0                # how often the last outcome came in a row

    async def run(self, jitter: float) -> None:
        """Ask for ever, once at a time, beginning somewhere within the first interval."""
        time = self.reach.loop.time
        due = time() + jitter * self.rule.interval
        while True:
            await asyncio.sleep(due - time())
            try:
                self.judge(await self.fault())
            except Exception:
                log.exception("checking %s", self.provider.name)
            due = max(due + self.rule.interval, time())

    def judge(self, fault: str | None) -> None:
        """One more outcome: what is wrong, or None. Enough of them in a row are a verdict."""
        well = fault is None
        self.row = self.row + 1 if well == self.last else 1
        self.last = well
        if well == self.well or self.row < (self.rule.healthy if well else self.rule.unhealthy):
            return
        self.mark(self.provider.name, well)
        self.well = well
        log.log(logging.INFO if well else logging.WARNING, "provider is %s", "healthy" if well else "unhealthy",
                extra={"facts": {"provider": self.provider.name, "reason": fault, "checks": self.row}})

    async def fault(self) -> str | None:
        """Ask once: None for a 2xx in time, else a few stable words."""
        loop = self.reach.loop
        answer = Answer(self.request, loop.create_future())
        tls = urlsplit(self.provider.base_url).scheme == "https"
        try:
            async with asyncio.timeout(self.rule.timeout):
                sock = await self.reach.open(self.provider, answer if tls else None)
                if not tls:
                    await loop.create_connection(lambda: answer, sock=sock)
                fault = await answer.fault
                self.expires = answer.expires or self.expires
                return fault
        except TimeoutError:
            return "no answer in time"
        except FAILURES as error:
            return reason(error)
        finally:
            answer.abort()


class Answer(asyncio.Protocol):
    """Sends a request; `fault` is done once the answer's status is known. The rest of it is not read."""

    def __init__(self, request: bytes, fault: asyncio.Future[str | None]) -> None:
        self.request = request
        self.fault = fault
        self.data = b""
        self.transport: Any = None
        self.expires: float | None = None       # the provider's certificate, Unix time

    def connection_made(self, transport: Any) -> None:
        """Ask."""
        self.transport = transport
        shown = transport.get_extra_info("peercert")
        if shown:
            self.expires = ssl.cert_time_to_seconds(shown["notAfter"])
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Look for the final status; interim ones (RFC 9110, 15.2) are passed over."""
        self.data += data
        while (found := _STATUS.match(self.data)) and found[1].startswith(b"1") and b"\r\n\r\n" in self.data:
            self.data = self.data.partition(b"\r\n\r\n")[2]
        if found and not found[1].startswith(b"1"):
            self.tell(None if found[1].startswith(b"2") else f"status {found[1].decode()}")
        elif len(self.data) > MAX_ANSWER or (not found and len(self.data) >= _STATUS_BYTES):
            self.tell("malformed answer")

    def connection_lost(self, exc: Exception | None) -> None:
        """An end without a status."""
        self.tell("Connection reset")

    def tell(self, fault: str | None) -> None:
        """The first word counts."""
        if not self.fault.done():
            self.fault.set_result(fault)

    def abort(self) -> None:
        """Nothing more is wanted."""
        if self.transport is not None:
            self.transport.abort()


def request(provider: Provider, path: str) -> bytes:
    """A GET with the provider's first key and its headers."""
    base, query = place(provider)
    return b"GET %b%bconnection: close\r\n\r\n" % (
        joined(base + path.encode(), query), heads(provider, versioned=True)[0])
