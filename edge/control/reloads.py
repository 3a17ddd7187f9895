"""What came of reloads since control began, and when the version in force was read: for `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import Metric

from edge.process.channel import Reloaded
from edge.values.snapshot import Snapshot


class Outcomes:
    """The supervisor tells each, whoever has asked for it."""

    def __init__(self) -> None:
        self.counts = {"in_force": 0, "refused": 0}
        self.well: bool | None = None           # the last one; None: there was none

    def add(self, message: Reloaded) -> None:
        """One more."""
        self.well = message.version is not None
        self.counts["in_force" if self.well else "refused"] += 1

    def metrics(self, snapshot: Snapshot) -> Iterator[Metric]:
        """A gauge that is not there before the first reload: nobody has said that anything is wrong."""
        reloads = Counter("edge_config_reloads", "Reloads by what came of them, since control began.",
                          labels=["outcome"])
        for outcome, count in self.counts.items():
            reloads.add_metric([outcome], count)
        yield reloads
        last = Gauge("edge_config_last_reload_successful", "1 where the last reload came into force, 0 where it was "
                     "refused, and what is on disk is not what runs.", labels=[])
        if self.well is not None:
            last.add_metric([], self.well)
        yield last
        yield Gauge("edge_config_read_timestamp_seconds", "Unix time when the configuration in force was read.",
                    snapshot.read_at)
