"""What the data port answers itself: health, the model catalogue, figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from edge import __version__
from edge.catalogue import Snapshot

# The catalogue states no birthday of a model; OpenAI's and Anthropic's SDKs want one.
CREATED = 1735689600
CREATED_AT = "2025-01-01T00:00:00Z"


class OwnAnswers:
    """One worker's; `answers()` gives route name -> callable(is Anthropic's SDK) -> (status, JSON)."""

    def __init__(self, gateway: Any, stats: Callable[[], dict[str, Any]]) -> None:
        self.gateway = gateway
        self.stats = stats

    def answers(self, snapshot: Snapshot) -> dict[str, Callable[[bool], tuple[int, bytes]]]:
        """The routes of one version of the configuration."""
        lists = {False: openai_models(snapshot), True: anthropic_models(snapshot)}
        return {
            "models": lambda anthropic: (200, lists[anthropic]),
            "health": self.health,
            "livez": lambda anthropic: (200, b'{"status":"ok"}'),
            "readyz": self.health,
            "stats": lambda anthropic: (200, orjson.dumps(self.stats())),
        }

    def health(self, anthropic: bool) -> tuple[int, bytes]:
        """503 while draining: load balancers take that as leave."""
        status = "draining" if self.gateway.draining else "ok"
        return 503 if self.gateway.draining else 200, orjson.dumps({"status": status, "version": __version__})


def openai_models(snapshot: Snapshot) -> bytes:
    """GET /v1/models in OpenAI's shape; patterns are no names and are left out."""
    kinds = {provider.name: provider.kind for provider in snapshot.providers}
    return orjson.dumps({"object": "list", "data": [
        {"id": model.name, "object": "model", "created": CREATED, "owned_by": model.owned_by,
         "providers": sorted({kinds[target.provider] for target in model.targets})}
        for model in snapshot.models if "*" not in model.name]})


def anthropic_models(snapshot: Snapshot) -> bytes:
    """The same in Anthropic's shape, for requests that bear anthropic-version."""
    data = [{"type": "model", "id": model.name, "display_name": model.name, "created_at": CREATED_AT}
            for model in snapshot.models if "*" not in model.name]
    return orjson.dumps({"data": data, "has_more": False, "first_id": data[0]["id"] if data else None,
                         "last_id": data[-1]["id"] if data else None})
