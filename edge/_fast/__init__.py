"""The compiled part: what runs per request or per chunk. This front is all that the rest of edge imports."""

from .condition import Condition

__all__ = ["Condition"]
