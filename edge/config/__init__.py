"""Reads the configuration: one YAML file, EDGE_ variables over it, flags over both.

`load` makes a `catalogue.Snapshot` of it, or raises ConfigError with every problem there is, each with its
place and the way out. Configuration files and the environment are read in this package and nowhere else.
"""

from .load import Loaded, address, find, load, peek, read
from .problems import EX_CONFIG, INVALID, MEANINGS, MISSING, SYNTAX, ConfigError, Place, Problem

__all__ = ["EX_CONFIG", "INVALID", "MEANINGS", "MISSING", "SYNTAX", "ConfigError", "Loaded", "Place", "Problem",
           "address", "find", "load", "peek", "read"]
