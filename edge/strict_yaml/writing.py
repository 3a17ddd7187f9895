"""Writes values as YAML that the strict loader reads back the same: whatever could be mistaken is quoted."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

# A letter first, no blanks, no `: ` and no ` #`: plain in every YAML version, save for the words below.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./+-]*(:[A-Za-z0-9_./+-]+)*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def scalar(value: object) -> str:
    """A text, number, boolean or None."""
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
            return value
        return yaml.safe_dump(value, default_style='"', allow_unicode=True, width=1 << 30).rstrip("\n")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return json.dumps(value)


def flow(value: Any) -> str:
    """Any value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    return scalar(value)
