"""What operators say while the gateway runs; workers use switches.pxd."""

from typing import NamedTuple

from typing_extensions import disjoint_base

from edge._fast.shared.slab import Slab

class Spoken(NamedTuple):
    """Unix times at which the maintenance ends (0: none is) and began, why, and by name whether models are on."""

    until: int
    since: int
    message: str
    models: dict[str, bool]

@disjoint_base
class Switches:
    """Reads and writes it; control alone writes."""

    def __init__(self, slab: Slab) -> None: ...
    @property
    def spoken(self) -> Spoken: ...
    def speak(self, spoken: Spoken) -> None: ...
