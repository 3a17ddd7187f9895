"""The journal in which a worker writes down what requests cost, beside the store that gets it from there."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any

from edge._fast import Journal, Slab
from edge.values.snapshot import StorePlace

AGAIN_SECONDS = 1.0         # between two tries to make one


class Books:
    """Called it gives the journal of the store that the version in force names; None: it cannot be had."""

    def __init__(self, slab: Slab, stripe: int, log: logging.Logger) -> None:
        self.slab, self.stripe, self.log = slab, stripe, log
        self.store: StorePlace | None = None
        self.journal: Journal | None = None
        self.tried = float("-inf")

    def use(self, store: StorePlace | None) -> None:
        """Another version is in force. What a worker before this one has written there goes on."""
        if store == self.store:
            return
        self.store, self.journal, self.tried = store, None, float("-inf")
        if store is not None and Path(store.journals, self.name).exists():
            self()

    @property
    def name(self) -> str:
        """Of the file: no two lives of a host's memory, and no two workers, have one in common."""
        return f"{self.slab.host:x}-{self.stripe}"

    def __call__(self) -> Any:
        """See the class."""
        if self.journal is not None or self.store is None or time.monotonic() < self.tried + AGAIN_SECONDS:
            return self.journal
        self.tried = time.monotonic()
        place = Path(self.store.journals)
        try:
            place.mkdir(mode=0o700, exist_ok=True)
            self.journal = self.made(place / self.name)
        except (OSError, ValueError) as error:
            self.log.error("no journal for what requests cost", extra={"facts": {
                "file": str(place / self.name), "reason": str(error)}})
        else:
            self.journal.restore(self.slab)
        return self.journal

    def made(self, file: Path) -> Journal:
        """Opened, and made if need be; one that is spoilt makes room, for people to look at."""
        try:
            return Journal(str(file), self.slab.host, self.stripe)
        except ValueError as error:
            spoilt = file.with_name(f"{file.name}.spoilt-{os.getpid()}")
            file.rename(spoilt)
            self.log.error("a journal of what requests cost is spoilt", extra={"facts": {
                "file": str(spoilt), "reason": str(error),
                "way_out": "what the store did not have of it is lost: compare its usage with your provider's"}})
            return Journal(str(file), self.slab.host, self.stripe)
