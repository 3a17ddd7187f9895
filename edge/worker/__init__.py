"""One worker: an event loop, a listening socket of its own, the compiled data plane."""

from __future__ import annotations

from edge.worker.process import rehearse, run

__all__ = ["rehearse", "run"]
