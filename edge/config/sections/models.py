"""Where models are served, and what stands in for them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from edge.config.sections.base import Strict, Text, about, wrong
from edge.dialects.capabilities import CAPABILITIES, Capability


class Target(Strict):
    """Where a model is served."""

    provider: Annotated[Text, about("a name under `providers`", "openai")]
    model: Annotated[Text | None, about("its name there; the name asked for unless set", "gpt-5-mini")] = None
    priority: Annotated[Annotated[int, Field(ge=0, le=255)] | None, about(
        "lower ones come first; its place in the list, from 0, unless set", 0)] = None
    weight: Annotated[Annotated[int, Field(ge=1, le=10**6)], about(
        "its share among those of equal priority", 3)] = 1


def _targets(value: object) -> object:
    """The short forms: one target for a list of one, `provider/model` or `provider` for a target."""
    items = value if isinstance(value, list) else [value]
    if not items:
        raise wrong("a model needs at least one target", 'write provider/model, e.g. "openai/gpt-5-mini"')
    return [_target(item) for item in items]


def _target(item: object) -> object:
    if not isinstance(item, str):
        return item
    provider, slash, model = item.partition("/")
    if not provider or (slash and not model):
        raise wrong("a target is provider/model, or a provider alone", 'for example "openai/gpt-5-mini"')
    return {"provider": provider, "model": model} if slash else {"provider": provider}


def _names(value: object) -> object:
    items = value if isinstance(value, list) else [value]
    if not items:
        raise wrong("names nothing to fall back to", "name models or providers, or remove it")
    return items


class Listed(Strict):
    """What the catalogue says of a model."""

    capabilities: Annotated[Annotated[list[Capability], Field(max_length=len(CAPABILITIES))] | None, about(
        "what it is made for: requests for anything else are refused; nothing is unless this is here",
        ["chat", "tools", "vision", "json"])] = None
    enabled: Annotated[bool, about("false: it is switched off for all keys", False)] = True


_STRING = {"type": "string"}
_TARGET = [_STRING, Target.model_json_schema()]

Targets = Annotated[
    list[Target], BeforeValidator(_targets),
    WithJsonSchema({"anyOf": [*_TARGET, {"type": "array", "minItems": 1, "items": {"anyOf": _TARGET}}]})]
FallBack = Annotated[
    list[Text], BeforeValidator(_names),
    WithJsonSchema({"anyOf": [_STRING, {"type": "array", "minItems": 1, "items": _STRING}]})]
