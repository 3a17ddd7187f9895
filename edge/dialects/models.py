"""How the catalogue of models looks to each SDK."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from edge.dialects.kinds import Kind

Shown = dict[str, object]       # a model

# The catalogue states no birthday of a model; both SDKs want one.
_CREATED = 1735689600
_CREATED_AT = "2025-01-01T00:00:00Z"


def shown(kind: Kind, name: str, owned_by: str, providers: Iterable[str],
          capabilities: Sequence[str] | None = None) -> Shown:
    """One model, in the shape of the SDK that asks; `providers` are the kinds of those that have it.

    SDKs keep members that they do not know, such as `edge_capabilities`, which is there where anything is known.
    (Anthropic's has a member `capabilities` of another form.)
    """
    known = {} if capabilities is None else {"edge_capabilities": list(capabilities)}
    return {**_SHOWN[kind](name, owned_by, providers), **known}


def page(kind: Kind, models: Mapping[str, Shown]) -> dict[str, object]:
    """All of these models, likewise."""
    return _PAGES[kind](models)


def _openai(name: str, owned_by: str, providers: Iterable[str]) -> Shown:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": owned_by,
            "providers": sorted(set(providers))}


def _anthropic(name: str, owned_by: str, providers: Iterable[str]) -> Shown:
    return {"type": "model", "id": name, "display_name": name, "created_at": _CREATED_AT}


def _openai_page(models: Mapping[str, Shown]) -> dict[str, object]:
    return {"object": "list", "data": list(models.values())}


def _anthropic_page(models: Mapping[str, Shown]) -> dict[str, object]:
    names: list[str | None] = [*models] or [None]
    return {"data": list(models.values()), "has_more": False, "first_id": names[0], "last_id": names[-1]}


_SHOWN = {"openai": _openai, "anthropic": _anthropic}
_PAGES = {"openai": _openai_page, "anthropic": _anthropic_page}
