"""What the data port answers itself: health, the model catalogue, figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import orjson

from edge import __version__
from edge._fast import Switches
from edge.dialects.kinds import KINDS, Kind
from edge.dialects.models import Shown, page, shown
from edge.values.catalogue import finder
from edge.values.snapshot import Snapshot
from edge.values.switches import maintenance
from edge.worker.tables import Allows, Answer


class OwnAnswers:
    """One worker's; `answers()` gives what answers, by route name."""

    def __init__(self, gateway: Any, stats: Callable[[str], dict[str, Any]]) -> None:
        self.gateway = gateway
        self.stats = stats

    def answers(self, snapshot: Snapshot) -> dict[str, Answer]:
        """The routes of one version of the configuration."""
        catalogue = Catalogue(snapshot, Switches(self.gateway.slab))
        return {
            "models": catalogue.answer,
            "health": self.health,
            "livez": lambda surface, target, allows, key: (200, b'{"status":"ok"}'),
            "readyz": self.health,
            "stats": lambda surface, target, allows, key: (200, orjson.dumps(self.stats(key))),
        }

    def health(self, surface: Kind, target: bytes, allows: Allows, key: str) -> tuple[int, bytes]:
        """503 while draining: load balancers take that as leave. During a maintenance it is well: clients are to hear
        of it from here, in contract, and not from a balancer that has nobody left."""
        found = maintenance(self.gateway.slab)
        status = "draining" if self.gateway.draining else "ok" if found is None else "maintenance"
        said = {"status": status, "version": __version__} | ({} if found is None else {"until": found.shown()["until"]})
        return 503 if self.gateway.draining else 200, orjson.dumps(said)


class Catalogue:
    """GET /v1/models and /v1/models/NAME, in the shape of the SDK that asks. Patterns are no names and are left out,
    and so is what is switched off.

    Where there are none but patterns, providers are asked instead: see `tables.listing`.
    """

    def __init__(self, snapshot: Snapshot, switches: Switches) -> None:
        kinds = {provider.name: provider.kind for provider in snapshot.providers}
        named = [model for model in snapshot.models if "*" not in model.name]
        traits = finder(snapshot.catalogue)
        self.switches = switches
        self.goes_by = {model.name: traits(model.name) for model in named}
        self.models: dict[Kind, dict[str, Shown]] = {kind: {model.name: shown(
            kind, model.name, model.owned_by, [kinds[target.provider] for target in model.targets],
            self.goes_by[model.name].capabilities) for model in named} for kind in KINDS}
        self.lists = {kind: self.listed(kind, {}, None) for kind in KINDS}

    def answer(self, surface: Kind, target: bytes, allows: Allows, key: str) -> tuple[int, bytes | None]:
        """The list of those that the key may use, or one of them; a name may hold slashes, escaped or not."""
        models, switched = self.models[surface], self.switches.spoken.models
        name = unquote(target.partition(b"?")[0].decode("ascii").removeprefix("/v1/models").removeprefix("/"))
        if name:
            known = name in models and (allows is None or allows(name)) and self.is_on(name, switched)
            return 200, orjson.dumps(models[name]) if known else None
        return 200, self.listed(surface, switched, allows) if allows or switched else self.lists[surface]

    def listed(self, surface: Kind, switched: Mapping[str, bool], allows: Allows) -> bytes:
        """Those that are on, and that the key may use."""
        return orjson.dumps(page(surface, {name: model for name, model in self.models[surface].items()
                                           if self.is_on(name, switched) and (allows is None or allows(name))}))

    def is_on(self, name: str, switched: Mapping[str, bool]) -> bool:
        """As an operator says, else as the configuration does."""
        traits = self.goes_by[name]
        return switched.get(name, switched.get(traits.name, traits.enabled))
