"""The files that are made, and what is in them."""

from __future__ import annotations

import json
from pathlib import Path

from deploy.monitoring import families, rules
from deploy.monitoring.dashboards import DASHBOARDS

DEPLOY = Path(__file__).parents[1]


def made() -> dict[Path, str]:
    """Each file's text."""
    pages = {DEPLOY / f"grafana/dashboards/{each.name}.json":
             json.dumps(each.json(), indent=1, ensure_ascii=False) + "\n" for each in DASHBOARDS}
    return {DEPLOY / "prometheus/rules.yml": rules.page(), DEPLOY.parent / "docs/metrics.md": families.page(), **pages}
