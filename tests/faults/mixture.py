"""Mixed traffic with everything wrong in it: providers that fail in every way, clients that behave in none."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import get_args

from edge.simulator.faults import Case
from tests.faults.load import Pool
from tests.support.talk import asked, chat, request

GOOD = ("latency=0", "latency=30;jitter=30", "tokens=40;delay=2", "big=200000", "drip=200,1", "interim=2", "close-idle",
        "stall=2,100")
BAD = (*(f"error={case}" for case in get_args(Case)), *(f"error-event={at},{case}" for at in (0, 2)
       for case in ("overloaded", "rate")), "error=rate;retry-after=1", "error=rate;retry-after=ms:300",
       "error=overloaded;retry-after=date:1", "error=rate;limit-reset=500", "error-in-200", "error-in-200=quota",
       "empty", "hang", "stall", "stall=3", "malformed=head", "malformed=chunk", "malformed=json", "malformed=length",
       "extra-bytes", "no-terminal", "endless-head", "interim=0", "early;error=key", "status=502;body=<html>")
CUT = ("cut", "reset")
DOWN = ("refuse=150", "mute=150")
DOWN_PART = 0.002           # of the requests take the whole provider down
BAD_PART = 0.4              # of the requests meet a fault of the others
PAUSE = 0.1                 # seconds at most between two requests of a client
STAY = 0.2                  # seconds at most until a client that leaves does so
MODELS = 4                  # names, so that there are several targets


class Mixture:
    """Clients that go on for a time; `ended` counts what became of requests that were waited for, by status."""

    def __init__(self, port: int, seed: int) -> None:
        self.ended: Counter[int] = Counter()
        self.left = 0               # requests that were not waited for
        self._port = port
        self._chance = random.Random(seed)
        self._pool = Pool(port)

    async def run(self, clients: int, seconds: float) -> None:
        """So many clients for so long."""
        end = time.monotonic() + seconds
        await asyncio.gather(*(self._client(end) for _ in range(clients)))
        self._pool.close()

    async def _client(self, end: float) -> None:
        chance = self._chance
        while time.monotonic() < end:
            how = chance.choices(HOW, WEIGHTS)[0]
            with contextlib.suppress(OSError):
                await how(self, self._request())
            await asyncio.sleep(chance.random() * PAUSE)

    def _request(self) -> bytes:
        chance = self._chance
        stream = chance.random() < 0.5
        model = f"m{chance.randrange(MODELS)}"
        if chance.random() < 0.5:
            return chat(model, fault=self._spec(), stream=stream)
        return request(asked(model, max_tokens=64, stream=stream), path="/v1/messages",
                       anthropic_version="2023-06-01", x_simulate=self._spec())

    def _spec(self) -> str:
        chance = self._chance
        drawn = chance.random()
        if drawn < DOWN_PART:
            return chance.choice(DOWN)
        if drawn > BAD_PART:
            return chance.choice(GOOD)
        if chance.random() < 0.3:
            return f"{chance.choice(CUT)}={chance.randrange(3000)}"
        return chance.choice(BAD)

    async def wait(self, data: bytes) -> None:
        """Waits for the answer, whatever it is."""
        self.ended[(await self._pool.ask(data)).status] += 1

    async def leave(self, data: bytes) -> None:
        """Leaves before it has all of the answer."""
        await self._start(data)

    async def half(self, data: bytes) -> None:
        """Sends a part of the request."""
        await self._start(data[:self._chance.randrange(len(data))])

    async def noise(self, data: bytes) -> None:
        """Sends something that is no request, or not a whole one of ours."""
        at = self._chance.randrange(len(data))
        await self._start(data[:at] + self._chance.randbytes(4) + data[at:])

    async def stranger(self, data: bytes) -> None:
        """Has a key that nobody knows."""
        self.ended[(await self._pool.ask(data.replace(b"Bearer sk-", b"Bearer xx-"))).status] += 1

    async def _start(self, data: bytes) -> None:
        self.left += 1
        _, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1024)
        writer.write(data)
        await asyncio.sleep(self._chance.random() * STAY)
        writer.transport.abort()


How = Callable[[Mixture, bytes], Awaitable[None]]
HOW: tuple[How, ...] = (Mixture.wait, Mixture.leave, Mixture.half, Mixture.noise, Mixture.stranger)
WEIGHTS = (12, 3, 1, 1, 1)
