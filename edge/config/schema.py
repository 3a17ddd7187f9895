"""The file's JSON Schema, for editors that check and complete YAML as it is written."""

from __future__ import annotations

from typing import Any

from edge.config.sections.settings import Settings


def schema() -> dict[str, Any]:
    """pydantic's schema of `sections`, less what it cannot know of the file."""
    made = Settings.model_json_schema()
    # A provider named openai or anthropic needs neither: `layers.fill_known`.
    del made["$defs"]["Provider"]["required"]
    without_null: dict[str, Any] = _without_null(made)
    return without_null


def _without_null(node: Any) -> Any:
    """A key that may be left out has None as its default in Python; in the file a null is an error."""
    if isinstance(node, list):
        return [_without_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _without_null(value) for key, value in node.items() if (key, value) != ("default", None)}
    choices = [choice for choice in kept.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1 and len(kept["anyOf"]) == 2:
        return {**choices[0], **{key: value for key, value in kept.items() if key != "anyOf"}}
    return kept | ({"anyOf": choices} if choices else {})
