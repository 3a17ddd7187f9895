"""How much of a shared limit a host draws ahead of need.

Requests come as a compound Poisson process at worst: what a quarter of a second takes has the mean q and the variance
q times what one request takes. The purse is filled to three such times and four deviations, asked for again below one
and two, and gives back what is beyond five and six.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, sqrt

SPAN = 250_000_000          # ns


@dataclass(slots=True)
class Demand:
    """What is taken of one limit. `rate` is units by SPAN, `lump` what one request takes at most."""

    units: int = 0              # in the purse at the last look
    looked: int = 0
    rate: float = 0.0
    lump: float = 1.0

    def look(self, units: int, lack: int, now: int) -> None:
        """So much is left, and so much was missed."""
        span = max(1, now - self.looked)
        spent = max(0, self.units - units) + lack
        weight = 1 - exp(-span / SPAN)
        if self.looked:
            self.rate += (spent * SPAN / span - self.rate) * weight
        elif spent:
            self.rate = spent * SPAN / 1e9      # nobody has wanted any for a second at least
        self.lump = max(lack, 1.0, self.lump + (1.0 - self.lump) * weight / 8)
        self.units, self.looked = units, now

    def level(self, times: float, deviations: int) -> int:
        """So many times what SPAN takes, and so many deviations."""
        return ceil(times * self.rate + deviations * sqrt(self.rate * self.lump)) if self.rate >= 0.01 else 0

    @property
    def near(self) -> int:
        """What comes within a tenth of a second: two ticks."""
        return self.level(0.4, 0)

    @property
    def low(self) -> int:
        """Below it more is asked for."""
        return self.level(1, 2)

    @property
    def target(self) -> int:
        """So much is asked for then."""
        return self.level(3, 4)

    @property
    def high(self) -> int:
        """What is beyond the target goes back then."""
        return max(1, self.level(5, 6))
