"""What a worker's log says of requests: a line each, and of a flood of the same kind a few and their number."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from edge import contract
from edge._fast import Condition

LINES = 20                  # of one kind in a second; the metrics count them all


class Notes:
    """`report` hears of ended requests, `notice` of decisions on their way. With `debug` every line is written."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float], *, debug: bool) -> None:
        self.log = log
        self.clock = clock
        self.debug = debug
        self.blames = contract.blames()
        self.second = 0
        self.written: dict[tuple[str, str | None, str | None], int] = {}    # in this second, by what makes a kind

    def report(self, facts: dict[str, Any]) -> None:
        """A line per request that was failed or refused; all of them with `debug`."""
        condition = Condition(facts["condition"]).name
        blame = self.blames.get(condition)
        facts = {"blame": blame, **facts, "condition": condition}
        if blame is None:
            self.line(logging.DEBUG, "request", facts)
        elif blame in ("upstream", "edge"):
            self.line(logging.WARNING, "request failed", facts)
        else:
            self.line(logging.INFO, "request refused", facts)

    def notice(self, event: str, facts: dict[str, Any]) -> None:
        """A line for what was decided about an attempt, a target or a provider's key."""
        if "condition" in facts:
            facts["condition"] = Condition(facts["condition"]).name
        self.line(logging.WARNING, event, facts)

    def line(self, level: int, event: str, facts: dict[str, Any]) -> None:
        """One line, unless enough of its kind were written in this second."""
        self.settle()
        kind = event, facts.get("condition"), facts.get("provider")
        count = self.written[kind] = self.written.get(kind, 0) + 1
        if count <= LINES or self.debug:
            self.log.log(level, event, extra={"facts": facts})

    def settle(self) -> None:
        """When a second is over: how many lines of each kind it had besides those written."""
        second = int(self.clock())
        if second == self.second:
            return
        self.second, over = second, self.written
        self.written = {}
        for (event, condition, provider), count in over.items():
            if count > LINES and not self.debug:
                self.log.warning("more of the same", extra={"facts": {
                    "event": event, "condition": condition, "provider": provider, "unwritten": count - LINES}})
