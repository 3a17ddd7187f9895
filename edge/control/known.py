"""What control knows besides its state: for whoever shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge._fast import Cache
from edge.control.reloads import Outcomes
from edge.control.requests import Requests

if TYPE_CHECKING:
    from edge.control.fleet.process import Fleet
    from edge.control.points.clerk import Clerk


@dataclass(frozen=True, slots=True)
class Known:
    """The fleet, if this host is of one; when providers' certificates end; requests that have ended; reloads.

    `supervisor` is its process, `clerk` has what is posted. Of the response cache an error says why there is none;
    `address` is where workers listen.
    """

    fleet: Callable[[], Fleet | None] = lambda: None
    expiries: Callable[[], Mapping[str, float]] = dict
    requests: Requests | None = None
    reloads: Outcomes = field(default_factory=Outcomes)
    supervisor: int = 0
    clerk: Clerk | None = None
    cache: Cache | OSError | None = None
    address: tuple[str, int] | None = None
