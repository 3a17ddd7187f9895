"""What clients meet: the error contract of each surface, and pages that may ask from a browser."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from edge.config.sections.base import Strict, Text, about
from edge.dialects.kinds import KINDS


class Contracts(Strict):
    """The error contract of each surface."""

    openai: Annotated[Text, about("the contract of OpenAI-shaped routes", "openai")] = "openai"
    anthropic: Annotated[Text, about("the contract of /v1/messages", "anthropic")] = "anthropic"


def _contracts(value: object) -> object:
    return dict.fromkeys(KINDS, value) if isinstance(value, str) else value


_STRING = {"type": "string"}

ContractChoice = Annotated[
    Contracts, BeforeValidator(_contracts),
    WithJsonSchema({"anyOf": [_STRING, {
        "type": "object", "additionalProperties": False, "properties": dict.fromkeys(KINDS, _STRING)}]})]


class Cors(Strict):
    """Pages that may use the gateway from a browser."""

    origins: Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(max_length=100), about(
        "their origins, * for any; empty: none", ["https://app.example.com"])] = []
