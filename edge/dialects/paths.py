"""Paths that mean one thing to every server, and names in them decoded."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote_to_bytes

# What servers fold: empty and dot segments, dots at a segment's end, and what is behind a semicolon.
_RAW = re.compile(r"//|\.(?:/|$)|;")
# What a path must not hold in escapes: dots, slashes, what ends or splits a path, controls, blanks at a segment's end.
_FOLDS = re.compile(r"%(?:2[ef3]|3[bf]|5c|7f|[01][0-9a-f])|/%20|%20(?:/|$)", re.IGNORECASE)
_ESCAPE = re.compile(rb"%[0-9a-fA-F]{2}")
_PARTS = frozenset("./\\;?#%")


def named(text: bytes) -> bytes | None:
    """A segment's name, decoded once; None where that is no text, or one with control characters."""
    name = unquote_to_bytes(text)
    try:
        return name if name.decode().isprintable() else None
    except UnicodeDecodeError:
        return None


def is_plain(path: bytes, slashes: bool = False) -> bool:
    """Whether every server reads a path alike, also one that decodes it, once or twice or as other letters, before or
    behind its own look: the one place that says what may lie in a relayed path.

    It is taken to hold no byte raw that the head's parser refuses. With `slashes` it may hold them as %2F: behind
    /v1/models/ they are part of a name.
    """
    text = path.decode("ascii")
    if slashes:
        text = re.sub("%2f", "/", text, flags=re.IGNORECASE)
        if text.endswith("/") and not path.endswith(b"/"):
            return False
    name = named(path)
    return (name is not None and _RAW.search(text) is None and _FOLDS.search(text) is None
            and _ESCAPE.search(name) is None
            and _PARTS.isdisjoint(unicodedata.normalize("NFKC", "".join(c for c in name.decode() if c > "\x7f"))))
