"""The oracle of a limit: whether more was used, in any window, than burst + rate * t, while both change."""

from __future__ import annotations

ROUNDING = 1e-3             # units: times are whole microseconds, debts are not


class Violation(AssertionError):
    """The limit was not kept."""


class Meter:
    """Sees every use. Times in us, debts in units.

    Each window is [what was used beyond the rate since it began, what that may be]. A burst that shrinks begins a
    window of its own, in which what is out may still be used; one that grows holds for all.
    """

    def __init__(self, interval: int, burst: int, now: int) -> None:
        self.interval, self.burst, self.at = interval, burst, now
        self.windows: list[list[float]] = [[0.0, burst]]
        self.used = 0
        self.relaxed = 0.0

    @property
    def most(self) -> float:
        """What may be out now."""
        return self.windows[-1][1]

    def use(self, units: int, now: int) -> None:
        """A request has used so many."""
        self.advance(now)
        self.used += units
        for window in self.windows:
            window[0] += units
            if window[0] > window[1] + ROUNDING:
                raise Violation(f"{window[0]:.3f} units beyond the rate in one window, and not {window[1]}")

    def advance(self, now: int) -> None:
        """Time pays debts. A window is over when it says what the next one does."""
        if now <= self.at:
            return
        paid = (now - self.at) * 1000 / self.interval
        self.at = now
        for window in self.windows:
            window[0] = max(0.0, window[0] - paid)
        while len(self.windows) > 1 and not self.windows[0][0]:
            del self.windows[0]

    def rule(self, interval: int, burst: int, out: int, now: int) -> None:
        """These numbers rule from now on, while so many units are out."""
        self.advance(now)
        self.interval = interval
        if burst > self.burst:
            for window in self.windows:
                window[1] = max(window[1], burst)
        elif burst < self.burst:
            self.windows.append([0.0, max(burst, out) + self.relaxed])
        self.burst = burst

    def tighten(self, out: int) -> None:
        """Of a greater burst, and of what nobody could know, so much is out still."""
        self.relaxed = 0.0
        if out < self.most:
            self.windows.append([0.0, max(self.burst, out)])

    def relax(self, units: float) -> None:
        """What nobody can know may let so many more through until it is tightened."""
        self.relaxed += units
        for window in self.windows:
            window[1] += units
