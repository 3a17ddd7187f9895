"""What operators say while the gateway runs, as all processes tell of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from edge._fast import Slab, Spoken, Switches
from edge.values.moments import moment

FOREVER = 2**63 - 1         # in the shared memory: nobody knows when the maintenance ends
NOTHING = Spoken(0, 0, "", {})


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Unix times. `until` is None where nobody knows; `message` is the operator's, and may be empty."""

    since: int
    until: int | None
    message: str

    def shown(self) -> dict[str, Any]:
        """As answers have it."""
        return {"since": moment(self.since), "until": None if self.until is None else moment(self.until),
                "message": self.message}


def maintenance(slab: Slab) -> Maintenance | None:
    """The one that the gateway is in; None: it is in none."""
    spoken = Switches(slab).spoken
    if not spoken.until or over(spoken):
        return None
    return Maintenance(spoken.since, None if spoken.until == FOREVER else spoken.until, spoken.message)


def over(spoken: Spoken) -> bool:
    """Whether there was a maintenance, and its time has come."""
    return 0 < spoken.until <= time.time()
