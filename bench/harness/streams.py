"""Streaming load: sse_client.py in a process of its own, beside the upstream on the load's core."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .load import PATH
from .processes import LOAD_CORE, Trouble, on_core
from .targets import Target, Upstream

CLIENT = Path(__file__).with_name("sse_client.py")


@dataclass(frozen=True, slots=True)
class Plan:
    """How many streams at once, of how many events `delay` milliseconds apart, begun again for `seconds`."""

    streams: int
    events: int
    delay: float
    seconds: float

    @property
    def length(self) -> float:
        """Seconds that one stream takes at its pace."""
        return self.events * self.delay / 1000


@dataclass(frozen=True, slots=True)
class Streamed:
    """What the client saw; times in microseconds."""

    answers: int                # events
    reads: int
    seconds: float
    first_p50: int
    relay_p50: int
    relay_p99: int


def run(target: Target, upstream: Upstream, files: tuple[Path, Path], plan: Plan) -> Streamed:
    """One run; every stream must have come through whole, and have been asked of the upstream once."""
    before = upstream.count()
    seen = _client(target.port, files, plan)
    if seen["bad"] or seen["good"] != seen["started"]:
        raise Trouble(f"{target.name}: {seen['good']} good of {seen['started']} streams: {seen['bad']}")
    reached = upstream.count() - before
    if reached != seen["good"]:
        raise Trouble(f"{target.name}: {seen['good']} streams, but {reached} requests reached the upstream")
    return Streamed(seen["events"], seen["reads"], seen["seconds"], seen["first"]["p50"],
                    seen["relay"]["p50"], seen["relay"]["p99"])


def _client(port: int, files: tuple[Path, Path], plan: Plan) -> Any:
    body, headers = files
    options = {"port": port, "path": PATH, "body": body, "headers": headers, "streams": plan.streams,
               "events": plan.events, "seconds": plan.seconds, "ramp": plan.length}
    command = [sys.executable, str(CLIENT), *(f"--{name}={value}" for name, value in options.items())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False,
                          preexec_fn=lambda: on_core(LOAD_CORE))
    if done.returncode:
        raise Trouble(f"the client failed: {done.stderr[-1000:]}")
    return json.loads(done.stdout)
