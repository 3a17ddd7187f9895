"""What one image of the supervisor leaves to the next, by inherited descriptors; a Handover says which is what.

It is JSON, since another version reads it: one that knows other fields refuses the trial, and nothing has happened.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson

from edge.process.channel import PROTOCOL
from edge.process.memfd import whole
from edge.values.snapshot import Snapshot

VARIABLE = "EDGE_UPGRADE"           # `try` or `take`, and the descriptor of a Handover
FOREIGN = "the running version hands over in another way than this one: stop the gateway, and start it anew"


@dataclass(frozen=True, slots=True)
class Handover:
    """What one image of the supervisor leaves to the next. Descriptors, names and numbers."""

    version: int                                # of the configuration in force
    listeners: list[int]
    admin: int
    claims: list[int]                           # to the ports
    addresses: list[Any]                        # what of the configuration led to the sockets
    slab: int
    generation: int
    indices: dict[str, list[Any]]               # the registry
    children: list[tuple[str, int, int, int]]   # name, stripe, process, channel
    snapshot: int                               # where the trial leaves what it read
    protocol: int                               # what the children speak
    cache: int = -1                             # the file of the response cache; -1: there is none
    trial: bool = False
    spoken: dict[str, Any] | None = None        # by operators, for a memory that is new: edge._fast.Spoken

    def descriptors(self) -> list[int]:
        """All that the next image needs. A trial gets no more than a place for what it reads."""
        if self.trial:
            return [self.snapshot]
        channels = [child[3] for child in self.children]
        files = [each for each in (self.slab, self.snapshot, self.cache) if each >= 0]
        return [*self.listeners, self.admin, *self.claims, *files, *channels]

    def taken(self) -> Snapshot:
        """What was tried, so that a file that changes meanwhile does not matter."""
        snapshot = pickle.loads(whole(self.snapshot))
        assert isinstance(snapshot, Snapshot)
        return snapshot


def take(environ: MutableMapping[str, str]) -> Handover | None:
    """What the image before has left, if there was one. The descriptors are ours alone from now on."""
    how, _, descriptor = environ.pop(VARIABLE, "").partition(" ")
    if not descriptor:
        return None
    try:
        handed = replace(Handover(**orjson.loads(whole(int(descriptor)))), trial=how == "try")
    except TypeError:                           # it knows other fields
        sys.exit(FOREIGN)
    if handed.protocol != PROTOCOL:
        sys.exit(FOREIGN)
    for each in handed.descriptors():
        os.set_inheritable(each, False)
    os.close(int(descriptor))
    return handed


def note(handover: Handover) -> int:
    """A memfd that holds it."""
    descriptor = os.memfd_create("edge-handover")
    os.write(descriptor, orjson.dumps(asdict(handover)))
    return descriptor
