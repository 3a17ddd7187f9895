"""A real Prometheus scrapes a gateway under load: every expression of the dashboards and rules has an answer."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import trustme
import yaml

from deploy.monitoring.dashboards import DASHBOARDS
from deploy.monitoring.rules import alerts, recorded
from tests.deploy.tools import CHECKS, ROOT, tool
from tests.fleet.server import free_port
from tests.gateway.conftest import PLANTED
from tests.support.gateway import PLAIN, Gateway
from tests.support.simulator import Simulator

pytestmark = pytest.mark.skipif(not CHECKS, reason="make check-deploy runs it")
SECONDS = 90                # within which all have their answers
# What Grafana puts in the place of its variables.
VARIABLES = {"$__rate_interval": "20s", "$__range": "1h", "$job": ".*", "$provider": ".*"}
FAULTS = {"down": "status=500", "full": "status=429;retry-after=600", "untold": "body=" + json.dumps(
    {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]})}
PLANTED_KEY = "sk-planted-0123456789abcdef"
ASKED = ("good", "good", "down", "full", "untold", "unknown", "single", "forced")


def expressions() -> list[str]:
    """All that is asked: panels, rules, and of alerts the values and bounds, as an alert itself is silent mostly."""
    shown = [expression for board in DASHBOARDS for panel in board.panels for expression, _ in panel.queries]
    clauses = [part for group in alerts().values() for alert in group
               if alert.name != "EdgeConditionSpike" or ("condition", "provider_error") in alert.labels
               for value, _, bound in alert.clauses for part in (value, bound)]
    found = [*shown, *recorded(), *recorded().values(), *clauses]
    for name, value in VARIABLES.items():
        found = [each.replace(name, value) for each in found]
    return list(dict.fromkeys(found))


def configuration(simulator: Simulator, secure: Simulator, redis_url: str, ca: Path) -> dict[str, Any]:
    """A host of a fleet that has a bit of everything."""
    up = f"{simulator.url}/v1"
    return {
        "port": 0, "listen_addr": "127.0.0.1", "admin": {"port": 0}, "workers": 2, "redis": {"url": redis_url},
        "rate_limit": {"requests_per_second": 10000, "burst_size": 10000, "concurrent_requests": 1000},
        "providers": {
            "up": {"kind": "openai", "base_url": up, "key": "env:PROVIDER_KEY"},
            "down": {"kind": "openai", "base_url": up, "key": "env:PROVIDER_KEY",
                     "health_check": {"path": "/nowhere", "interval": 1}},
            "tls": {"kind": "openai", "base_url": f"https://localhost:{secure.port}/v1", "key": "env:PROVIDER_KEY",
                    "ca_bundle": str(ca), "health_check": {"path": "/models", "interval": 1}}},
        "models": {"good": "up", "full": "up", "untold": "up", "sim-planted": "up", "down": "down", "single": "up",
                   "forced": ["tls", "up"]},
        "keys": [{"name": "test", "key": "env:TEST_KEY"},
                 {"name": "planted", "key": "env:PLANTED_KEY", "models": ["*"]}],
        "circuit_breaker": {"failures": 2, "open_time": 1, "max_open_time": 1}, "retry": {"max": 1, "backoff": 0.01}}


def load(gateway: Gateway, over: threading.Event) -> None:
    """Requests of all sorts, until it is over."""
    with gateway.client() as client:
        client.get("/v1/models")
        while not over.is_set():
            for model in ASKED:
                for stream in (False, True):
                    client.post("/v1/chat/completions", json={
                        "model": model, "stream": stream, "messages": [{"role": "user", "content": "hello"}]})
            client.post("/v1/chat/completions", content=b"{", headers={"content-type": "application/json"})
            for key in (PLANTED_KEY, "sk-wrong-0123456789abcdef"):
                client.post("/v1/chat/completions", headers={"authorization": f"Bearer {key}"}, json={
                    "model": "sim-planted", "messages": [{"role": "user", "content": "hello"}]})
            with suppress(httpx.TimeoutException):
                client.post("/v1/chat/completions", timeout=0.2, json={
                    "model": "good", "messages": [{"role": "user", "content": "x"}]},
                    headers={"x-simulate": "latency=2000"})
            over.wait(0.05)


@pytest.fixture
def prometheus(redis_url: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a Prometheus that scrapes a gateway under load every second."""
    authority, ca = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "own.pem")
    with ExitStack() as stack:
        simulator = stack.enter_context(Simulator())
        secure = stack.enter_context(Simulator(tls_cert=str(tmp_path / "own.pem")))
        simulator.faults([{"match": {"model": model}, "fault": fault} for model, fault in FAULTS.items()])
        (tmp_path / "sitecustomize.py").write_text(PLANTED)
        path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
        gateway = stack.enter_context(Gateway(configuration(simulator, secure, redis_url, ca),
                                              environ={"PYTHONPATH": path, "PLANTED_KEY": PLANTED_KEY}))
        assert gateway.reload().status_code == 200
        httpx.post(f"{gateway.admin}/admin/circuits", json={"target": "tls", "state": "open"}, **PLAIN)
        over = threading.Event()
        thread = threading.Thread(target=load, args=(gateway, over))
        thread.start()
        stack.callback(thread.join)
        stack.callback(over.set)
        settings = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
        settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        settings["rule_files"] = [str(ROOT / "deploy/prometheus/rules.yml")]
        settings["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{gateway.admin_port}"]}]
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(settings))
        port = free_port()
        with (tmp_path / "log").open("wb") as log:
            server = subprocess.Popen(
                [tool("prometheus"), f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
                 f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
        stack.callback(server.wait)
        stack.callback(server.terminate)
        yield f"http://127.0.0.1:{port}"


def answered(url: str, expression: str) -> bool:
    """Whether there is a number, and not only what stands for none."""
    try:
        answer = httpx.get(f"{url}/api/v1/query", params={"query": expression}, **PLAIN)
    except httpx.TransportError:        # it is not there yet
        return False
    if answer.status_code == 503:       # nor is its memory
        return False
    found = answer.json()
    assert found["status"] == "success", (expression, found)
    return any(not math.isnan(float(each["value"][1])) for each in found["data"]["result"])


@pytest.mark.timeout(SECONDS + 60)
def test_every_expression_has_an_answer(prometheus: str) -> None:
    """Dashboards and rules ask for what a gateway under load tells, without an exception."""
    left = [each for each in expressions() if re.search("[a-z]", each)]
    assert len(left) > 90
    end = time.monotonic() + SECONDS
    while left and time.monotonic() < end:
        left = [expression for expression in left if not answered(prometheus, expression)]
        time.sleep(0.5)
    assert left == []
