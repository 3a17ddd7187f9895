"""What the load generator writes down: a line for each request, each step of the scenario, and of itself once a second.

Each of its processes has a file of its own. Times are of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from .processes import Trouble

LATE = 0.005                # seconds: a loop that is later than this on average measures itself,
BUSY = 0.9                  # and so does a process that has more of a core than this


class Request(NamedTuple):
    """One request, its answer read to the end: plain answers have no first event."""

    at: float                           # its end
    name: str
    seconds: float
    first: float | None                 # seconds until the first event
    stream: bool
    condition: str                      # ok, or what x-edge-condition or the stream's error tells
    detail: str


class Mark(NamedTuple):
    """A step of the scenario; the one without words is its beginning."""

    at: float
    text: str


class Pulse(NamedTuple):
    """A process of the load generator in the second before."""

    at: float
    late: float                         # seconds that its loop was late, on average
    cpu: float                          # share of a core

    @property
    def saturated(self) -> bool:
        """Whether what it measured in that second is its own slowness."""
        return self.late > LATE or self.cpu > BUSY


class Records(NamedTuple):
    """Those of one run, in order of time."""

    begun: float
    marks: list[Mark]
    requests: list[Request]
    pulses: list[Pulse]


KINDS: dict[str, type[Request] | type[Mark] | type[Pulse]] = {kind.__name__: kind for kind in (Request, Mark, Pulse)}


class Writer:
    """The file of one process; without a folder nothing is written."""

    def __init__(self, folder: Path | None) -> None:
        self._file = (folder / f"{os.getpid()}.jsonl").open("w") if folder else None

    def write(self, record: Request | Mark | Pulse) -> None:
        """Adds a record."""
        if self._file:
            self._file.write(json.dumps([type(record).__name__, *record]) + "\n")

    def flush(self) -> None:
        """Makes what was written there for who reads."""
        if self._file:
            self._file.flush()


def read(folder: Path) -> Records:
    """What all processes have written. Trouble: the run has not begun."""
    found: dict[str, list[tuple[object, ...]]] = {name: [] for name in KINDS}
    for path in folder.glob("*.jsonl"):
        for line in path.read_text().split("\n")[:-1]:      # the last one may have been cut
            name, *values = json.loads(line)
            found[name].append(KINDS[name](*values))
    requests, marks, pulses = (sorted(records) for records in found.values())
    if not marks:
        raise Trouble("the load generator has ended before it began")
    begun = marks[0].at                                                             # type: ignore[attr-defined]
    return Records(begun, marks[1:], requests, pulses)                              # type: ignore[arg-type]
