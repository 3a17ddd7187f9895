"""The catalogue as operators see it: every name and pattern, whether it is on, and who says so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge._fast import Condition, Slot, Switches
from edge.config.sections.maximums import MAX_MODEL
from edge.control.circuits import mistyped, shown
from edge.control.guard import admin
from edge.control.keys import asked
from edge.control.keys.keeper import Keeper
from edge.control.keys.routes import answer, deed
from edge.control.refusal import Refusal
from edge.control.state import State
from edge.values.catalogue import finder
from edge.values.patterns import covers
from edge.values.registry import named
from edge.values.snapshot import Model, Snapshot

LONGEST = 512                   # characters of a name in the audit
MOST = 512                      # that may be switched, see MOST_SWITCHED

log = logging.getLogger("edge")


class ModelRoutes:
    """GET lists them, POST switches one, and answers how it is then."""

    def __init__(self, state: Callable[[], State], keeper: Keeper) -> None:
        self.state = state
        self.keeper = keeper

    def routes(self) -> list[Route]:
        """Both."""
        return [Route("/admin/models", self.models, methods=["GET"]),
                Route("/admin/models", self.switch, methods=["POST"])]

    @admin
    async def models(self, request: Request) -> Response:
        """All of them, names first."""
        state = self.state()
        return answer({"models": listed(state.snapshot, Switches(state.slab).spoken.models)})

    @admin
    async def switch(self, request: Request) -> Response:
        """In force on all workers with the answer; it outlives reloads, and ends with the gateway."""
        name, enabled = wanted(await asked.body(request))
        state = self.state()
        switches = Switches(state.slab)
        spoken = switches.spoken
        known(state.snapshot, spoken.models, name)
        before = entry_in(state.snapshot, spoken.models, name)
        models = dict(spoken.models)
        models.pop(name, None)
        if enabled != by_configuration(state.snapshot, models, name):
            models[name] = enabled      # else nothing is said: it is as the configuration has it, also the next one
        if len(models) > MOST:
            raise Refusal(Condition.resource_conflict, {
                Slot.S_REASON: f"{MOST} models are switched already: say enabled: false in the configuration"})
        switches.speak(spoken._replace(models=models))
        log.warning("model switched", extra={"facts": {"model": name, "enabled": enabled, "by": request.state.who}})
        after = entry_in(state.snapshot, models, name)
        await self.keeper.note(deed(request, "switch model", f"model {name}"[:LONGEST]), *(
            {field: each[field] for field in ("model", "enabled", "by")} for each in (before, after)))
        return answer(after)


def entry_in(snapshot: Snapshot, switched: Mapping[str, bool], name: str) -> dict[str, Any]:
    """How one of them is."""
    return next(each for each in listed(snapshot, switched, name) if each["model"] == name)


def wanted(said: Mapping[str, Any]) -> tuple[str, bool]:
    """Which model, and whether it is to be on. Refusal."""
    asked.only(said, ("model", "enabled"))
    for field, kind, word in (("model", str, "a string"), ("enabled", bool, "a boolean")):
        if field not in said:
            raise Refusal(Condition.field_missing, {Slot.S_FIELD: field})
        if not isinstance(said[field], kind):
            raise mistyped(field, word, said[field])
    return said["model"], said["enabled"]


def names(snapshot: Snapshot) -> list[str]:
    """All that the configuration names: names before patterns, those of `models` first."""
    found = dict.fromkeys([model.name for model in snapshot.models] + [each.name for each in snapshot.catalogue])
    return sorted(found, key=lambda name: "*" in name)


def known(snapshot: Snapshot, switched: Mapping[str, bool], name: str) -> None:
    """Refusal: it is none of those, nor a name that one of the patterns fits."""
    there = names(snapshot)
    if name in there or name in switched or (
            0 < len(name) <= MAX_MODEL and name.isprintable() and "*" not in name
            and any(covers(each, name) for each in there)):
        return
    from difflib import get_close_matches  # for mistakes alone

    near = get_close_matches(name, there, n=3, cutoff=0.4) or there[:3]
    raise Refusal(Condition.field_value, {
        Slot.S_FIELD: "model", Slot.S_EXPECTED: f"among the models, such as {', '.join(near)}",
        Slot.S_GOT: shown(name)})


def entry_of(snapshot: Snapshot, name: str) -> Model | None:
    """The entry of `models` that serves a name."""
    return next((model for model in snapshot.models if covers(model.name, name)), None)


def by_configuration(snapshot: Snapshot, switched: Mapping[str, bool], name: str) -> bool:
    """Whether it is on where nothing is said of the name itself: as a pattern of it is, else as the file says."""
    traits, entry = finder(snapshot.catalogue)(name), entry_of(snapshot, name)
    for each in (traits.name, entry.name if entry is not None else ""):
        if each != name and each in switched:
            return switched[each]
    return traits.enabled


def listed(snapshot: Snapshot, switched: Mapping[str, bool], *more: str) -> list[dict[str, Any]]:
    """Of each whether it is on, who says so, what it is made for and where it is served."""
    find = finder(snapshot.catalogue)
    found = []
    for name in dict.fromkeys([*names(snapshot), *switched, *more]):
        entry = entry_of(snapshot, name)
        on = switched[name] if name in switched else by_configuration(snapshot, switched, name)
        capabilities = find(name).capabilities
        found.append({
            "model": name, "enabled": on, "by": "admin" if name in switched or on != find(name).enabled else "file",
            "capabilities": None if capabilities is None else list(capabilities),
            "targets": [] if entry is None else [
                named((target.provider, target.model or name)) for target in entry.targets]})
    return found
