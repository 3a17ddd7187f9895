"""What the data port answers itself: health, the model catalogue, figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import orjson

from edge import __version__
from edge.dialects.surfaces import SURFACES
from edge.values.snapshot import Snapshot
from edge.worker.tables import Allows, Answer

# The catalogue states no birthday of a model; OpenAI's and Anthropic's SDKs want one.
CREATED = 1735689600
CREATED_AT = "2025-01-01T00:00:00Z"

Shown = dict[str, object]       # a model, as an SDK is told of it


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

    def health(self, surface: int, target: bytes, allows: Allows, key: str) -> tuple[int, bytes]:
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
        openai: dict[str, Shown] = {model.name: {
            "id": model.name, "object": "model", "created": CREATED, "owned_by": model.owned_by,
            "providers": sorted({kinds[target.provider] for target in model.targets})} for model in named}
        anthropic: dict[str, Shown] = {model.name: {
            "type": "model", "id": model.name, "display_name": model.name, "created_at": CREATED_AT} for model in named}
        shown = {"openai": openai, "anthropic": anthropic}
        self.models = [shown[surface.name] for surface in SURFACES]         # as Answer is asked
        self.lists = [page(surface, models) for surface, models in enumerate(self.models)]

    def answer(self, surface: int, target: bytes, allows: Allows, key: str) -> tuple[int, bytes | None]:
        """The list of those that the key may use, or one of them; a name may hold slashes, escaped or not."""
        models = self.models[surface]
        name = unquote(target.partition(b"?")[0].decode("ascii").removeprefix("/v1/models").removeprefix("/"))
        if name:
            known = name in models and (allows is None or allows(name))
            return 200, orjson.dumps(models[name]) if known else None
        if allows is None:
            return 200, self.lists[surface]
        return 200, page(surface, {name: model for name, model in models.items() if allows(name)})


def page(surface: int, models: Mapping[str, Shown]) -> bytes:
    """All of these models, in the shape of the SDK that asks."""
    data = list(models.values())
    if SURFACES[surface].name == "openai":
        return orjson.dumps({"object": "list", "data": data})
    names: list[str | None] = [*models] or [None]
    return orjson.dumps({"data": data, "has_more": False, "first_id": names[0], "last_id": names[-1]})
