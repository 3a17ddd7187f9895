"""What the data port answers itself: health, the model catalogue, figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import orjson

from edge import __version__
from edge.dialects.kinds import KINDS, Kind
from edge.dialects.models import Shown, page, shown
from edge.values.snapshot import Snapshot
from edge.worker.tables import Allows, Answer


class OwnAnswers:
    """One worker's; `answers()` gives what answers, by route name."""

    def __init__(self, gateway: Any, stats: Callable[[str], dict[str, Any]]) -> None:
        self.gateway = gateway
        self.stats = stats

    def answers(self, snapshot: Snapshot) -> dict[str, Answer]:
        """The routes of one version of the configuration."""
        catalogue = Catalogue(snapshot)
        return {
            "models": catalogue.answer,
            "health": self.health,
            "livez": lambda surface, target, allows, key: (200, b'{"status":"ok"}'),
            "readyz": self.health,
            "stats": lambda surface, target, allows, key: (200, orjson.dumps(self.stats(key))),
        }

    def health(self, surface: Kind, target: bytes, allows: Allows, key: str) -> tuple[int, bytes]:
        """503 while draining: load balancers take that as leave."""
        status = "draining" if self.gateway.draining else "ok"
        return 503 if self.gateway.draining else 200, orjson.dumps({"status": status, "version": __version__})


class Catalogue:
    """GET /v1/models and /v1/models/NAME, in the shape of the SDK that asks. Patterns are no names and are left out.

    Where there are none but patterns, providers are asked instead: see `tables.listing`.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        kinds = {provider.name: provider.kind for provider in snapshot.providers}
        named = [model for model in snapshot.models if "*" not in model.name]
        self.models: dict[Kind, dict[str, Shown]] = {kind: {model.name: shown(
            kind, model.name, model.owned_by, [kinds[target.provider] for target in model.targets])
            for model in named} for kind in KINDS}
        self.lists = {kind: orjson.dumps(page(kind, models)) for kind, models in self.models.items()}

    def answer(self, surface: Kind, target: bytes, allows: Allows, key: str) -> tuple[int, bytes | None]:
        """The list of those that the key may use, or one of them; a name may hold slashes, escaped or not."""
        models = self.models[surface]
        name = unquote(target.partition(b"?")[0].decode("ascii").removeprefix("/v1/models").removeprefix("/"))
        if name:
            known = name in models and (allows is None or allows(name))
            return 200, orjson.dumps(models[name]) if known else None
        if allows is None:
            return 200, self.lists[surface]
        return 200, orjson.dumps(page(surface, {name: model for name, model in models.items() if allows(name)}))
