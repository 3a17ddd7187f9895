"""The compiled part: what runs per request or per chunk. This front is all that the rest of edge imports."""

from .condition import Condition
from .gateway import EVENTS, STATES, TRANSITIONS, Gateway, Model, Pool, Route, Target, Tenant
from .render import NEVER, PHRASES, SLOTS, Slot, Template
from .slab import (
    LONG_BOUNDS,
    MAX_BUCKETS,
    MAX_SERIES,
    RELAYED,
    RELAYED_STATUSES,
    SHORT_BOUNDS,
    UNLIMITED,
    SeriesTotal,
    Slab,
    monotonic,
)

__all__ = [
    "EVENTS", "LONG_BOUNDS", "MAX_BUCKETS", "MAX_SERIES", "NEVER", "PHRASES", "RELAYED",
    "RELAYED_STATUSES", "SHORT_BOUNDS", "SLOTS", "STATES", "TRANSITIONS", "UNLIMITED", "Condition", "Gateway", "Model",
    "Pool", "Route", "SeriesTotal", "Slab", "Slot", "Target", "Template", "Tenant", "monotonic",
]
