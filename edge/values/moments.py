"""Times as people and programs are told them."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(when: float) -> str:
    """A Unix time as RFC 3339 has it, to the second."""
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
