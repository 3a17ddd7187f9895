"""Faults set through POST /_simulate: which requests they are for, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from edge.simulator.faults import Fault, FaultError, parse
from edge.simulator.request import Request

MATCHES = ("model", "path", "key")


@dataclass(slots=True)
class Rule:
    """A fault for the requests that fit every pattern of `match` (`*` and `?` as in a shell).

    `times` is how many requests are still to get it; None: all.
    """

    match: dict[str, str]
    times: int | None
    spec: str
    fault: Fault

    def fits(self, request: Request, model: str | None) -> bool:
        """Whether this request is one for it."""
        if self.times == 0:
            return False
        values = {"model": model, "path": request.path, "key": request.key}
        return all(fnmatchcase(values[name] or "", pattern) for name, pattern in self.match.items())

    def show(self) -> dict[str, Any]:
        """The rule as it was posted, with the times that are left."""
        return {"match": self.match, "times": self.times, "fault": self.spec}


def read(data: Any) -> list[Rule]:
    """The rules in the body of POST /_simulate. Raises FaultError, which says what is wrong with them."""
    if not isinstance(data, dict) or set(data) != {"faults"} or not isinstance(data["faults"], list):
        raise FaultError('the body must be {"faults": [{"match": {}, "times": 1, "fault": "SPEC"}]}')
    return [_rule(entry) for entry in data["faults"]]


def _rule(entry: Any) -> Rule:
    if not isinstance(entry, dict) or not {"fault"} <= set(entry) <= {"match", "times", "fault"}:
        raise FaultError("an entry has `fault`, and may have `match` and `times`; nothing else")
    match, times, spec = entry.get("match", {}), entry.get("times"), entry["fault"]
    if not isinstance(match, dict) or not set(match) <= set(MATCHES) \
            or not all(isinstance(pattern, str) for pattern in match.values()):
        raise FaultError("`match` is an object with `model`, `path` or `key`, each a pattern")
    if times is not None and (type(times) is not int or times < 1):
        raise FaultError("`times` is a whole number from 1, or null for all")
    if not isinstance(spec, str):
        raise FaultError("`fault` is a text, such as \"status=503\"")
    return Rule(match, times, spec, parse(spec))
