"""What a plain scalar means to every reader of YAML; a text that means two things is a trap."""

from __future__ import annotations

import re

NULL = re.compile(r"~|null|Null|NULL|")
BOOL = re.compile(r"true|True|TRUE|(false|False|FALSE)")
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
# YAML 1.1's other booleans and numbers: https://yaml.org/type/
_WORD = re.compile(r"y|n|yes|no|on|off", re.IGNORECASE)
_SEXAGESIMAL = re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+(\.[0-9_]*)?([eE][-+]?[0-9]+)?")
_BASED = re.compile(r"[-+]?0(x[0-9a-fA-F_]+|o?[0-7_]+|b[01_]+)")
_GROUPED = re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?")


def number(text: str) -> int | float | None:
    """The number that a plain text is in every version of YAML; None for all else and for what overflows."""
    if _INT.fullmatch(text):
        return int(text) if len(text) <= 20 and abs(int(text)) < 1 << 63 else None
    if _FLOAT.fullmatch(text):
        value = float(text)
        return value if abs(value) != float("inf") else None
    return None


def trap(text: str) -> tuple[str, str] | None:
    """What is wrong with a plain text that looks like something else, and what to write."""
    quoted = f'"{text}" for the text'
    if _WORD.fullmatch(text):
        meant = "true" if text.lower() in ("y", "yes", "on") else "false"
        return f"{text} is a truth value to some readers of YAML", f"write {meant}, or {quoted}"
    if _LEADING_ZERO.fullmatch(text) or _BASED.fullmatch(text):
        return f"{text} is not decimal to some readers of YAML", f"write the decimal number, or {quoted}"
    if _SEXAGESIMAL.fullmatch(text):
        return f"{text} is a number to base 60 to some readers of YAML", f"write the number, or {quoted}"
    if _GROUPED.fullmatch(text):
        return f"{text} is a number to some readers of YAML", f"write {text.replace('_', '')}, or {quoted}"
    if _INFINITE.fullmatch(text) or (_FLOAT.fullmatch(text) and number(text) is None):
        return f"{text} is not a number that can be used here", f"write a smaller number, or {quoted}"
    return None
