"""deploy/kubernetes: manifests that fit each other and the gateway, and that Kubernetes' own programs accept."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.monitoring.families import families
from edge.config import load
from edge.process.sockets import BACKLOG
from tests.deploy.tools import CHECKS, ROOT, tool

BASE = ROOT / "deploy/kubernetes"
PAGE = (ROOT / "docs/deploy.md").read_text()
OURS = {"app.kubernetes.io/name": "edge"}
KEYS = {"TEAM_KEY": "sk-team-0123456789abcdef", "EDGE_ADMIN_KEY": "sk-admin-0123456789abcdef", "OPENAI_API_KEY": "sk-x"}
VERSIONS = ("1.29.0", "1.37.0")         # the oldest that the base is for, and the newest that the checker knows


@pytest.fixture(scope="module")
def manifests() -> dict[str, dict[str, Any]]:
    """By kind."""
    named = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    loaded = [yaml.safe_load((BASE / name).read_text()) for name in named]
    return {each["kind"]: each for each in loaded}


@pytest.fixture(scope="module")
def pod(manifests: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The pod's specification."""
    found: dict[str, Any] = manifests["Deployment"]["spec"]["template"]["spec"]
    return found


def test_no_file_is_left_out(manifests: dict[str, dict[str, Any]]) -> None:
    """Every manifest is named, each of a kind of its own, beside the configuration."""
    files = {path.name for path in BASE.iterdir()} - {"kustomization.yaml", "edge.yaml"}
    assert len(files) == len(manifests) == 7
    assert {"Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy",
            "ServiceMonitor"} < set(manifests)


def test_they_mean_the_same_pods(manifests: dict[str, dict[str, Any]]) -> None:
    """Whoever selects pods selects those of the Deployment, by names of ports that they have."""
    spec = {kind: each.get("spec", {}) for kind, each in manifests.items()}
    assert spec["Deployment"]["template"]["metadata"]["labels"] == OURS == spec["Service"]["selector"]
    for kind, name in (("Deployment", "selector"), ("PodDisruptionBudget", "selector"), ("ServiceMonitor", "selector"),
                       ("NetworkPolicy", "podSelector")):
        assert spec[kind][name]["matchLabels"] == OURS
    assert manifests["Service"]["metadata"]["labels"] == OURS
    assert spec["HorizontalPodAutoscaler"]["scaleTargetRef"]["name"] == manifests["Deployment"]["metadata"]["name"]
    ports = {port["name"] for port in spec["Deployment"]["template"]["spec"]["containers"][0]["ports"]}
    named = {port["port"] for rule in spec["NetworkPolicy"]["ingress"] for port in rule["ports"]}
    assert named == {port["targetPort"] for port in spec["Service"]["ports"]} == ports == {"http", "admin"}
    assert [each["port"] for each in spec["ServiceMonitor"]["endpoints"]] == ["admin"]
    assert OURS[spec["ServiceMonitor"]["jobLabel"]] == "edge", "the job that the alerts expect"


def test_the_pod_is_the_gateway(pod: dict[str, Any]) -> None:
    """Its ports are the configuration's, which it finds where the image looks, and probes ask paths that answer."""
    snapshot = load(str(BASE / "edge.yaml"), environ=KEYS)
    [container] = pod["containers"]
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "http": snapshot.port, "admin": snapshot.admin_port}
    assert snapshot.listen_addr == snapshot.admin_addr == "0.0.0.0" and snapshot.admin_key is not None
    image = (ROOT / "deploy/Dockerfile").read_text()
    [mount] = container["volumeMounts"]
    assert f"EDGE_CONFIG={mount['mountPath']}/config.yaml" in image
    assert f"USER {pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}\n" in image
    probes = [container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]
    assert [probe["path"] for probe in probes] == ["/livez", "/livez", "/readyz"]
    assert {probe["port"] for probe in probes} == {"http"}


def test_the_pod_has_time_to_drain(pod: dict[str, Any]) -> None:
    """The grace period is longer than the pause before the signal and the drain together."""
    pause = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    drain = load(str(BASE / "edge.yaml"), environ=KEYS).drain_timeout
    assert pause > 0 and pod["terminationGracePeriodSeconds"] > pause + drain


def test_the_pod_has_no_privileges(pod: dict[str, Any]) -> None:
    """It is what the namespace enforces: not root, no capability, a root that is not written to, no token."""
    [container] = pod["containers"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                            "capabilities": {"drop": ["ALL"]}}
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"]
    assert not pod["automountServiceAccountToken"] and not pod["enableServiceLinks"]


def test_the_autoscaler_goes_by_what_there_is(manifests: dict[str, dict[str, Any]]) -> None:
    """Its figure is a metric of the gateway, and the page's rule for the adapter serves it."""
    [metric] = manifests["HorizontalPodAutoscaler"]["spec"]["metrics"]
    name = metric["pods"]["metric"]["name"]
    assert name in {family.name for family in families().values()}
    [rule] = yaml.safe_load(block("# values.yaml"))["rules"]["custom"]
    assert rule["seriesQuery"].startswith(f"{name}{{")


def block(first: str) -> str:
    """The page's block of YAML that begins with these words."""
    [found] = [text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.S) if text.startswith(first)]
    return found


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's overlay, beside a repository as it says."""
    folder = tmp_path_factory.mktemp("overlay")
    shutil.copytree(BASE, folder / "edge/deploy/kubernetes")
    (folder / "own").mkdir()
    (folder / "own/kustomization.yaml").write_text(block("# kustomization.yaml"))
    (folder / "own/edge.yaml").write_text("port: 8766\n")
    return folder / "own"


@pytest.mark.skipif(not CHECKS, reason="make check-deploy runs it")
@pytest.mark.parametrize("which", ["base", "overlay"])
def test_kubernetes_accepts_them(which: str, overlay: Path, tmp_path: Path) -> None:
    """Kustomize makes manifests of the base and of the page's overlay that fit schemas of old and new Kubernetes."""
    made = subprocess.run([tool("kubectl"), "kustomize", str(BASE if which == "base" else overlay)],
                          capture_output=True, text=True, check=False, timeout=60)
    assert made.returncode == 0, made.stderr
    if which == "overlay":
        assert "image: registry.example.com/edge:0.1.0" in made.stdout and "maxReplicas: 30" in made.stdout
        assert "config.yaml: |\n    port: 8766\n" in made.stdout
    (tmp_path / "made.yaml").write_text(made.stdout)
    for version in VERSIONS:
        done = subprocess.run([tool("kubernetes-validate"), "--strict", "-k", version, str(tmp_path / "made.yaml")],
                              capture_output=True, text=True, check=False, timeout=60)
        passed, unknown = done.stdout.count(" passed for "), done.stdout.count("WARN")
        assert done.returncode == 0 and (passed, unknown) == (7, 1), done.stdout     # ServiceMonitor is an operator's


def test_the_kernel_knows_its_settings() -> None:
    """Each line of the file for sysctl names a setting of Linux, and is no less than what the gateway asks for."""
    lines = [line for line in (ROOT / "deploy/edge.sysctl.conf").read_text().splitlines() if line and line[0] != "#"]
    settings = dict(line.split(" = ") for line in lines)
    root = Path("/proc/sys")
    assert [name for name in settings if not (root / name.replace(".", "/")).exists()] == []
    assert int(settings["net.core.somaxconn"]) >= BACKLOG
    unit = re.search(r"^LimitNOFILE=(\d+)$", (ROOT / "deploy/edge.service").read_text(), re.M)
    assert unit is not None and int(settings["fs.nr_open"]) >= int(unit[1])
