"""When the simulated model calls one of the client's tools, and with what.

It calls the tool that the user's last words name, and tells text once that tool's result is there: an agent, which
sends results until no tool is called any more, comes to the end of its turn.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson

RESULT_ROLES = ("tool", "function")     # of chat completions; elsewhere a part's or an item's type tells


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a client's tool, with arguments that fit its schema as JSON."""

    name: str
    arguments: str


def call_tool(tools: dict[str, Any], said: list[Any], choice: str | None) -> ToolCall | None:
    """The call that the answer makes of `tools` (name to JSON schema), if any; `said` is the conversation so far.

    `choice` is `none`, `any`, a tool's name, or None: the model chooses, namely a tool that the user names. Where the
    client forces a call it gets one whatever was said, as from the providers.
    """
    if choice is None:
        text = asked(said)
        wanted = [name for name in tools if _names(text, name)]
    elif choice == "any":
        wanted = list(tools)
    else:
        wanted = [name for name in tools if name == choice]
    if not wanted:
        return None
    return ToolCall(wanted[0], orjson.dumps(example(tools[wanted[0]]) or {}).decode())


def asked(said: list[Any]) -> str:
    """The user's last text since the model last spoke, "" where a tool's result has come since then.

    Agents put reminders of their own before the user's words, or behind a result, into the same message or the next.
    """
    text = ""
    for item in reversed(said):
        if not isinstance(item, dict):
            continue
        if _is_result(item):
            return ""
        if _is_the_models(item):
            break
        if not text and item.get("role") == "user":
            text = _last_text(item.get("content"))
    return text


def _is_result(item: dict[str, Any]) -> bool:
    """Whether a message or an item gives a tool's result, well or badly ended, in any of the dialects."""
    content = item.get("content")
    kinds = [item.get("type"), *(part.get("type") for part in (content if isinstance(content, list) else ())
                                 if isinstance(part, dict))]
    return item.get("role") in RESULT_ROLES or (item.get("role") != "assistant" and any(
        isinstance(kind, str) and kind.endswith(("_call_output", "tool_result")) for kind in kinds))


def _is_the_models(item: dict[str, Any]) -> bool:
    """Whether the model itself said this: a message, or one of the items without a role of /v1/responses."""
    kind = item.get("type")
    return item.get("role") == "assistant" or kind == "reasoning" or (isinstance(kind, str) and kind.endswith("_call"))


def _last_text(content: Any) -> str:
    """The last text that is not empty of a message's content: a string, or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    texts = [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
    return next((text for text in reversed(texts) if text.strip()), "")


def _names(text: str, name: str) -> bool:
    """Whether a text has this name as a whole word; `-` and `_` belong to words, as they do to tools' names."""
    return bool(name) and re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


def example(schema: Any, depth: int = 0) -> Any:
    """A small value that fits a JSON schema, as far as tools' parameters use it: of an object what it requires.

    An object that requires nothing gets every member. Lists have one element, as few tools can do with none.
    """
    if not isinstance(schema, dict) or depth > 8:
        return None
    values, members, kind = schema.get("enum"), schema.get("properties"), schema.get("type")
    if isinstance(values, list) and values:
        return values[0]
    if isinstance(members, dict):
        required = schema.get("required")
        wanted = [name for name in required if name in members] if isinstance(required, list) else []
        return {name: example(members[name], depth + 1) for name in wanted or members}
    if kind == "array" and isinstance(schema.get("items"), dict):
        return [example(schema["items"], depth + 1)]
    simple = {"object": {}, "string": "example", "integer": 1, "number": 1.5, "boolean": True, "array": []}
    return simple.get(kind) if isinstance(kind, str) else None
