"""Alert rules and dashboards: made of the tables in force, about metrics that exist, firing when they must."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.monitoring.dashboards import DASHBOARDS
from deploy.monitoring.families import families, named
from deploy.monitoring.files import made
from deploy.monitoring.rules import alerts, recorded
from edge.contract.conditions import conditions
from tests.deploy.alert_cases import cases, promtool
from tests.deploy.tools import ROOT, tool

PROMETHEUS = ROOT / "deploy/prometheus"
ALERTS = [alert for group in alerts().values() for alert in group]
SHOWN = [expression for dashboard in DASHBOARDS for panel in dashboard.panels for expression, _ in panel.queries]


def run(*words: str) -> None:
    """promtool, which must be content."""
    done = subprocess.run([tool("promtool"), *words], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


@pytest.mark.parametrize("path", made(), ids=lambda path: path.name)
def test_files_are_what_the_tables_make(path: Path) -> None:
    """What is in the repository is what `make pages` writes now."""
    assert path.read_text() == made()[path], "make pages"


def test_no_dashboard_is_left_behind() -> None:
    """There is no file of a dashboard that nobody makes any more."""
    assert set((ROOT / "deploy/grafana/dashboards").iterdir()) <= set(made())


def test_expressions_name_what_there_is() -> None:
    """Every rule and every panel reads metrics that the gateway has, or what a rule records."""
    for expression in (*recorded().values(), *(alert.expression for alert in ALERTS), *SHOWN):
        found = [name for name in recorded() if name in expression]
        assert found or named(expression) or "up{" in expression, expression


def test_dashboards_show_all_that_there_is() -> None:
    """No metric is told that no dashboard shows."""
    shown = {family.name for expression in (*SHOWN, *recorded().values()) for family in named(expression)}
    assert {family.name for family in families().values()} - shown == set()


def test_alerts_say_what_to_do() -> None:
    """Every alert has a severity, a summary and a runbook, and that of a condition has the contract's own words."""
    for alert in ALERTS:
        assert alert.severity in ("critical", "warning", "info")
        assert alert.summary and alert.runbook, alert.name
    spoken = {dict(alert.labels)["condition"]: alert.runbook for alert in ALERTS if alert.name == "EdgeConditionSpike"}
    assert spoken.keys() == conditions().meanings.keys()
    for name, meaning in conditions().meanings.items():
        assert meaning.cause in spoken[name] and meaning.fix in spoken[name]


def test_dashboards_say_what_conditions_mean() -> None:
    """The dashboard of errors has each condition's meaning and the way out."""
    text = (ROOT / "deploy/grafana/dashboards/errors.json").read_text()
    for name, meaning in conditions().meanings.items():
        assert f"`{name}`" in text and json.dumps(meaning.fix, ensure_ascii=False)[1:-1] in text


def test_dashboards_are_laid_out() -> None:
    """Panels have ids of their own and lie beside each other, and every dashboard has an address of its own."""
    loaded = [json.loads(text) for path, text in made().items() if path.suffix == ".json"]
    assert len({page["uid"] for page in loaded}) == len(loaded) == 5
    for page in loaded:
        taken: set[tuple[int, int]] = set()
        assert len({panel["id"] for panel in page["panels"]}) == len(page["panels"])
        for panel in page["panels"]:
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}
            assert max(x for x, _ in cells) < 24 and not cells & taken
            taken |= cells


def test_provisioning_leads_to_what_is_there() -> None:
    """Grafana is given a source of Prometheus' type, and a folder for the dashboards."""
    folder = ROOT / "deploy/grafana/provisioning"
    source = yaml.safe_load((folder / "datasources/edge.yaml").read_text())["datasources"][0]
    provider = yaml.safe_load((folder / "dashboards/edge.yaml").read_text())["providers"][0]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    assert provider["type"] == "file" and provider["options"]["path"].startswith("/")


def test_promtool_accepts_the_configuration() -> None:
    """Prometheus' own checker reads the configuration and the rules that it names."""
    run("check", "config", str(PROMETHEUS / "prometheus.yml"))


def test_alerts_fire_when_they_must_alone(tmp_path: Path) -> None:
    """Every alert fires for series that must raise it, with its labels and texts, and not for those that must not."""
    groups = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"]
    rules: dict[str, list[dict[str, Any]]] = {}
    for rule in (rule for group in groups for rule in group["rules"]):
        rules.setdefault(rule.get("alert", ""), []).append(rule)
    records = {"name": "recorded", "rules": rules.pop("")}
    tried = cases()
    for fires in (True, False):
        assert {case.alert for case in tried if bool(case.fires) == fires} == set(rules)
    for alert, found in rules.items():      # each beside what is recorded alone: all with all take a minute
        (tmp_path / f"{alert}.rules").write_text(json.dumps({"groups": [records, {"name": alert, "rules": found}]}))
        (tmp_path / f"{alert}.yml").write_text(json.dumps({
            "rule_files": [f"{alert}.rules"], "evaluation_interval": "1m",
            "tests": [promtool(case, found) for case in tried if case.alert == alert]}))
    run("test", "rules", *map(str, sorted(tmp_path.glob("*.yml"))))
