"""The compiled part: what runs per request or per chunk. This front is all that the rest of edge imports."""

from .contract.condition import Condition
from .contract.render import NEVER, PHRASES, SLOTS, Slot, Template
from .gateway import (
    KEY_STATES,
    KINDS_OF_LIMITS,
    STATES,
    TRANSITIONS,
    VERDICTS,
    Gateway,
    Limits,
    Model,
    Policy,
    Pool,
    Prices,
    Route,
    Surface,
    Target,
)
from .http.address import Networks
from .shared.balances import Balances
from .shared.cache import CACHE_LEAST, Cache, CacheTotal, Remembered
from .shared.directory import Directory, KeyRow, party_digest
from .shared.health import FORCINGS, Healths, HealthTotal, Sight
from .shared.journal import JOURNAL_ROOM, Journal, JournalEntry
from .shared.lines import Lines
from .shared.places import ALIVE, ALLOTTED, Allotted, Crowd, Places
from .shared.purse import FleetTotal, Held, Purses, Said
from .shared.slab import (
    CONTROL,
    FILE_BUCKETS,
    GENERATION,
    LONG_BOUNDS,
    MAX_BUCKETS,
    MAX_KEYS,
    MAX_LIMITS,
    MAX_POOLS,
    MAX_PROVIDER_KEYS,
    MAX_SERIES,
    MAX_TARGETS,
    PARTY_BUCKETS,
    RELAYED,
    RELAYED_STATUSES,
    SHORT_BOUNDS,
    UNLIMITED,
    Party,
    SeriesTotal,
    Slab,
    Source,
    monotonic,
)
from .shared.switches import Spoken, Switches

__all__ = [
    "ALIVE", "ALLOTTED", "CACHE_LEAST", "CONTROL", "FILE_BUCKETS", "FORCINGS", "GENERATION", "JOURNAL_ROOM",
    "KEY_STATES", "KINDS_OF_LIMITS", "LONG_BOUNDS", "MAX_BUCKETS", "MAX_KEYS", "MAX_LIMITS", "MAX_POOLS",
    "MAX_PROVIDER_KEYS", "MAX_SERIES", "MAX_TARGETS", "NEVER", "PARTY_BUCKETS", "PHRASES", "RELAYED",
    "RELAYED_STATUSES", "SHORT_BOUNDS", "SLOTS", "STATES", "TRANSITIONS", "UNLIMITED", "VERDICTS", "Allotted",
    "Balances", "Cache", "CacheTotal", "Condition", "Crowd", "Directory", "FleetTotal", "Gateway", "HealthTotal",
    "Healths", "Held", "Journal", "JournalEntry", "KeyRow", "Limits", "Lines", "Model", "Networks", "Party", "Places",
    "Policy", "Pool", "Prices", "Purses", "Remembered", "Route", "Said", "SeriesTotal", "Sight", "Slab", "Slot",
    "Source", "Spoken", "Surface", "Switches", "Target", "Template", "monotonic", "party_digest",
]
