"""What is said of targets from outside of the data plane: an operator's word, and that of the health checks."""

from __future__ import annotations

import logging
from difflib import get_close_matches
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request

from edge import stats
from edge._fast import Condition, Healths, Slot
from edge.control.refusal import Refusal
from edge.control.state import State
from edge.registry import named, places

MAX_BODY = 65536            # bytes
SHOWN = 100                 # characters of a wrong value

log = logging.getLogger("edge")


class Order(BaseModel):
    """The body of POST /admin/circuits. `auto` gives the target back to its breaker."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    target: str
    state: Literal["open", "closed", "auto"]


async def order(request: Request) -> Order:
    """Read one, or raise the Refusal that says what is wrong with it."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise Refusal(Condition.body_too_large, {Slot.S_LIMIT: MAX_BODY})
    try:
        return Order.model_validate_json(body)
    except ValidationError as error:
        raise wrong(error.errors(include_url=False)[0]) from None


def wrong(first: ErrorDetails) -> Refusal:
    """A body's first problem as a condition."""
    field = ".".join(str(step) for step in first["loc"])[:SHOWN]
    got = shown(first["input"])
    match first["type"]:
        case "json_invalid":
            return Refusal(Condition.json_invalid, {Slot.S_REASON: first["ctx"]["error"]})
        case "missing":
            return Refusal(Condition.field_missing, {Slot.S_FIELD: field})
        case "literal_error":
            return Refusal(Condition.field_value, {
                Slot.S_FIELD: field, Slot.S_EXPECTED: "among open, closed and auto", Slot.S_GOT: got})
        case "extra_forbidden":
            return Refusal(Condition.field_value, {
                Slot.S_FIELD: field, Slot.S_EXPECTED: "left out", Slot.S_GOT: got})
    kind = "JSON object" if not first["loc"] else "string"
    return Refusal(Condition.field_type, {
        Slot.S_FIELD: field or "body", Slot.S_EXPECTED: kind, Slot.S_GOT: type(first["input"]).__name__})


def shown(value: Any) -> str:
    """A wrong value for a message, not longer than a person wants to read."""
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def force(state: State, said: Order) -> dict[str, Any]:
    """An operator's word, in force in all workers from now on; it outlives reloads. How the target is then."""
    known = {named(place): place for place in places(state.snapshot)}
    place = known.get(said.target)
    if place is None:
        near = get_close_matches(said.target, known, n=3, cutoff=0.4) or list(known)[:3]
        raise Refusal(Condition.field_value, {
            Slot.S_FIELD: "target", Slot.S_EXPECTED: f"among the targets, such as {', '.join(near)}",
            Slot.S_GOT: shown(said.target)})
    Healths(state.slab).force(state.registry.target(*place), said.state)
    log.warning("circuit forced", extra={"facts": {"target": said.target, "state": said.state}})
    return stats.target(state.slab, state.registry, state.snapshot, place)


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
