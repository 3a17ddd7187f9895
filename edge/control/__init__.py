"""The control process: metrics, health and the admin API, on a port of its own. No client ever waits for it.

Its libraries are imported when it runs, not before: supervisor and workers do without them and their memory.
"""

from __future__ import annotations

from edge._fast import Slab
from edge.control.inheritance import Inheritance
from edge.values.registry import Registry
from edge.values.snapshot import Snapshot


def run(inheritance: Inheritance) -> None:
    """Serve on its listener until SIGTERM, the end of a drain, a successor's start, or the supervisor's own end."""
    from edge.control.process import main
    from edge.control.state import State

    main(State.of(inheritance.slab, inheritance.registry, inheritance.snapshot), inheritance)


def rehearse(slab: Slab, registry: Registry, snapshot: Snapshot) -> None:
    """All that a start can fail at: raises what it would raise."""
    import edge.control.process  # noqa: F401 - whether it can be
    from edge.control.state import State

    State.of(slab, registry, snapshot)


__all__ = ["Inheritance", "rehearse", "run"]
