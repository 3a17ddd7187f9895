"""Reads the configuration: one YAML file, EDGE_ variables over it, flags over both.

`load` makes a `Snapshot` of it, or raises ConfigError with every problem there is, each with its
place and the way out. Configuration files and the environment are read in this package and nowhere else.

What reads is imported when it is asked for: processes that only name problems do without it and its memory.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edge.config.problems import (
    EX_CONFIG,
    FAULT,
    FULL,
    INVALID,
    MEANINGS,
    MEMORY,
    MISSING,
    SYNTAX,
    ConfigError,
    Place,
    Problem,
)
from edge.config.where import find

if TYPE_CHECKING:
    from edge.config.reading import Loaded, address, load, peek, read

__all__ = ["EX_CONFIG", "FAULT", "FULL", "INVALID", "MEANINGS", "MEMORY", "MISSING", "SYNTAX", "ConfigError", "Loaded",
           "Place", "Problem", "address", "find", "load", "peek", "read"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.reading"), name)
