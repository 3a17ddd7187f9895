"""The compiled part: what runs per request or per chunk. This front is all that the rest of edge imports."""

from .contract.condition import Condition
from .contract.render import NEVER, PHRASES, SLOTS, Slot, Template
from .gateway import (
    KINDS_OF_LIMITS,
    STATES,
    TRANSITIONS,
    VERDICTS,
    Gateway,
    Limits,
    Model,
    Pool,
    Route,
    Surface,
    Target,
    Tenant,
)
from .http.address import Networks
from .shared.health import FORCINGS, Healths, HealthTotal, Sight
from .shared.lines import Lines
from .shared.places import ALLOTTED, Allotted, Crowd, Places
from .shared.purse import FleetTotal, Held, Purses
from .shared.slab import (
    CONTROL,
    GENERATION,
    LONG_BOUNDS,
    MAX_BUCKETS,
    MAX_POOLS,
    MAX_PROVIDER_KEYS,
    MAX_SERIES,
    MAX_TARGETS,
    RELAYED,
    RELAYED_STATUSES,
    SHORT_BOUNDS,
    UNLIMITED,
    SeriesTotal,
    Slab,
    monotonic,
)

__all__ = [
    "ALLOTTED", "CONTROL", "FORCINGS", "GENERATION", "KINDS_OF_LIMITS", "LONG_BOUNDS", "MAX_BUCKETS", "MAX_POOLS",
    "MAX_PROVIDER_KEYS", "MAX_SERIES", "MAX_TARGETS", "NEVER", "PHRASES", "RELAYED", "RELAYED_STATUSES",
    "SHORT_BOUNDS", "SLOTS", "STATES", "TRANSITIONS", "UNLIMITED", "VERDICTS", "Allotted", "Condition", "Crowd",
    "FleetTotal", "Gateway", "HealthTotal", "Healths", "Held", "Limits", "Lines", "Model", "Networks", "Places",
    "Pool", "Purses", "Route", "SeriesTotal", "Sight", "Slab", "Slot", "Surface", "Target", "Template", "Tenant",
    "monotonic",
]
