"""Panels as Grafana's JSON has them (schema 39). What a panel says of itself is the text of the metrics it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.monitoring.families import named

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24                  # of a dashboard, in Grafana's units
HEIGHTS = {"stat": 4, "timeseries": 8, "state-timeline": 8, "table": 10, "text": 14}

Query = tuple[str, str]     # PromQL, and how its lines are called


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: a third of the width unless `width` says otherwise."""

    title: str
    queries: tuple[Query, ...] = ()
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    text: str = ""                                  # of a text panel
    mappings: Sequence[Any] = ()                    # of values to words
    columns: Mapping[str, Any] = field(default_factory=dict)        # of a table: overrides by column
    stacked: bool = False

    def json(self, number: int, x: int, y: int) -> dict[str, Any]:
        """As Grafana reads it."""
        place = {"h": HEIGHTS[self.kind], "w": self.width, "x": x, "y": y}
        if self.kind == "text":
            return {"id": number, "type": "text", "title": self.title, "gridPos": place,
                    "options": {"mode": "markdown", "content": self.text}}
        return {"id": number, "type": self.kind, "title": self.title, "description": self.description(),
                "datasource": SOURCE, "gridPos": place, "targets": [*self.targets()],
                "fieldConfig": {"defaults": {"unit": self.unit, "custom": self.custom(), "mappings": [*self.mappings]},
                                "overrides": [override(name, each) for name, each in self.columns.items()]},
                **self.shape()}

    def description(self) -> str:
        """What the metrics say of themselves."""
        found = {family.name: family.text for expression, _ in self.queries for family in named(expression)}
        return "\n".join(f"{name}: {text}" for name, text in found.items())

    def targets(self) -> list[dict[str, Any]]:
        """Its queries. A table is of the present moment, all else is over time."""
        table = self.kind == "table"
        return [{"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": expression, "legendFormat": legend,
                 "instant": table, "range": not table, "format": "table" if table else "time_series"}
                for number, (expression, legend) in enumerate(self.queries)]

    def custom(self) -> dict[str, Any]:
        """How its lines look."""
        if self.kind != "timeseries":
            return {}
        stacking = {"mode": "normal", "group": "A"} if self.stacked else {"mode": "none"}
        return {"fillOpacity": 20 if self.stacked else 5, "lineWidth": 1, "showPoints": "never", "stacking": stacking}

    def shape(self) -> dict[str, Any]:
        """What belongs to its kind alone."""
        if self.kind == "stat":
            return {"options": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "none",
                                "graphMode": "area"}}
        if self.kind == "table":
            hidden = {"Time": True, "job": True, "instance": True, "__name__": True}
            return {"options": {"showHeader": True, "cellHeight": "sm"},
                    "transformations": [{"id": "organize", "options": {"excludeByName": hidden}}]}
        return {"options": {"legend": {"displayMode": "list", "placement": "bottom"},
                            "tooltip": {"mode": "multi", "sort": "desc"}} if self.kind == "timeseries" else {}}


def override(column: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """What is different in one column of a table."""
    return {"matcher": {"id": "byName", "options": column},
            "properties": [{"id": name, "value": value} for name, value in properties.items()]}


def value_mapping(words: Mapping[str, str]) -> list[dict[str, Any]]:
    """Words in place of values."""
    return [{"type": "value", "options": {value: {"text": text, "index": number}
                                          for number, (value, text) in enumerate(words.items())}}]


def laid_out(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """Panels from left to right, in lines that are as high as their highest."""
    found: list[dict[str, Any]] = []
    x = y = height = 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > WIDTH:
            x, y, height = 0, y + height, 0
        found.append(panel.json(number, x, y))
        x, height = x + panel.width, max(height, HEIGHTS[panel.kind])
    return found
