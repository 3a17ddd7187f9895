"""YAML without surprises: what two readers of YAML take for two things is an error with place and way out.

The values are those of YAML 1.2's core schema (section 10.3.2), as far as JSON has them too. PyYAML reads
YAML 1.1: there `on` and `NO` are booleans, `1:30` is 90, `010` is 8, and the later of two equal keys wins
without a word. Anchors, aliases, merge keys and tags are refused: a setting has one place, and no text grows
when it is read.

What reads is imported when it is asked for: processes that only name places and problems do without PyYAML.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edge.strict_yaml.document import Document, Path, Problem, StrictYAMLError, dotted

if TYPE_CHECKING:
    from edge.strict_yaml.reading import load

__all__ = ["Document", "Path", "Problem", "StrictYAMLError", "dotted", "load"]


def __getattr__(name: str) -> Any:
    if name != "load":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return import_module(f"{__name__}.reading").load
