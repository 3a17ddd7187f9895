"""What is said of targets from outside of the data plane: an operator's word, and that of the health checks."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request

from edge._fast import Condition, Healths, Slot
from edge.control.refusal import Refusal
from edge.control.state import State
from edge.values import figures
from edge.values.registry import named, places

STATES = ("open", "closed", "auto")
KINDS = {dict: "object", list: "array", str: "string", int: "number", float: "number", bool: "boolean",
         type(None): "null"}
SHOWN = 100                 # characters of a wrong value

log = logging.getLogger("edge")


@dataclass(frozen=True, slots=True)
class Order:
    """The body of POST /admin/circuits. `auto` gives the target back to its breaker."""

    target: str
    state: str


async def order(request: Request) -> Order:
    """Read one, or raise the Refusal that says what is wrong with it."""
    try:
        said = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise Refusal(Condition.json_invalid, {Slot.S_REASON: str(error)}) from None
    if not isinstance(said, dict):
        raise mistyped("body", "a JSON object", said)
    for field in ("target", "state"):
        if field not in said:
            raise Refusal(Condition.field_missing, {Slot.S_FIELD: field})
    for field in said:
        if field not in ("target", "state"):
            raise wrong(Condition.field_value, field, "left out", said[field])
    if not isinstance(said["target"], str):
        raise mistyped("target", "a string", said["target"])
    if said["state"] not in STATES:
        raise wrong(Condition.field_value, "state", "among open, closed and auto", said["state"])
    return Order(said["target"], said["state"])


def wrong(condition: Condition, field: str, expected: str, got: Any) -> Refusal:
    """A field of the body that is not as it must be."""
    return Refusal(condition, {Slot.S_FIELD: field[:SHOWN], Slot.S_EXPECTED: expected, Slot.S_GOT: shown(got)})


def mistyped(field: str, expected: str, got: Any) -> Refusal:
    """A field, or the body, of another type: in JSON's words, not Python's."""
    return wrong(Condition.field_type, field, expected, KINDS[type(got)])


def shown(value: Any) -> str:
    """A wrong value for a message, not longer than a person wants to read."""
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def force(state: State, said: Order) -> dict[str, Any]:
    """An operator's word, in force in all workers from now on; it outlives reloads. How the target is then."""
    known = {named(place): place for place in places(state.snapshot)}
    place = known.get(said.target)
    if place is None:
        from difflib import get_close_matches  # for mistakes alone

        near = get_close_matches(said.target, known, n=3, cutoff=0.4) or list(known)[:3]
        raise Refusal(Condition.field_value, {
            Slot.S_FIELD: "target", Slot.S_EXPECTED: f"among the targets, such as {', '.join(near)}",
            Slot.S_GOT: shown(said.target)})
    Healths(state.slab).force(state.registry.target(*place), said.state)
    log.warning("circuit forced", extra={"facts": {"target": said.target, "state": said.state}})
    return figures.target(state.slab, state.registry, state.snapshot, place)


def mark(state: State, provider: str, well: bool) -> None:
    """The health checks' word on a provider: for all of its targets, also those that only a later version names."""
    healths = Healths(state.slab)
    for place, index in state.registry.targets.items():
        if place[0] == provider:
            healths.ail(index, not well)


def settle(state: State) -> None:
    """A version's new targets are as their provider is, and what is not checked any more is well."""
    healths = Healths(state.slab)
    for provider in state.snapshot.providers:
        ailing = healths.total(state.registry.target(provider.name, "")).ailing
        mark(state, provider.name, provider.health_check is None or not ailing)
