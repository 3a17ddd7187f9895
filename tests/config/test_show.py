"""`edge config show` and the example file: complete, honest about origins, and read back the same."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import strict_yaml
from edge.config import load, read
from edge.config.schema import schema
from edge.config.sections.base import Strict
from edge.config.sections.settings import Settings
from edge.config.show import show
from edge.strict_yaml.writing import flow
from edge.values.snapshot import Snapshot

EXAMPLE = Path(__file__).parents[2] / "deploy/edge.example.yaml"
ENVIRON = {"OPENAI_API_KEY": "sk-secret-1", "ANTHROPIC_API_KEY": "sk-secret-2", "TEAM_B_KEY": "sk-secret-3-3456",
           "ADMIN_TOKEN": "sk-secret-5-3456",
           "HTTPS_PROXY": "http://user:secret-4@proxy:3128"}
FULL = """\
port: 8766
listen_addr: 0.0.0.0
providers:
  openai:
    key: env:OPENAI_API_KEY
    headers: {"x-one": "env:TEAM_B_KEY"}
    proxy: socks5h://127.0.0.1:1080
    health_check: /models
  anthropic: {keys: [env:ANTHROPIC_API_KEY, env:TEAM_B_KEY], timeouts: {idle: 0.5}, adaptive: false}
  local: {kind: openai, base_url: "http://127.0.0.1:1/v1", models: ["on", "1:30", "a b", "#x", "llama-*"],
          health_check: {path: "/health?x=1", interval: 0.5}}
keys:
  - {name: "010", key: env:TEAM_B_KEY, rate_limit: {requests_per_second: 1.5}, expires: 2030-01-01}
  - {name: "on", hash: "blake2b:1111111111111111111111111111111111111111111111111111111111111111"}
routes: {/v1/x*: local}
catalogue: {"llama-*": {capabilities: [chat], enabled: false}}
overload: {memory: 0.9}
redis: {url: "redis+sentinel://a:26379,b/mymaster/1", password: env:TEAM_B_KEY, outage: closed}
access_log: {path: "-", format: console, sample: {ok: 0.5}}
tracing: {endpoint: "https://otel.internal/v1/traces", share: 0.5, service: "on", headers: {"x-key": env:TEAM_B_KEY}}
retry: {max: 0, budget: 0.5}
circuit_breaker: {enabled: false, all_open: refuse}
fallback: {openai: local/llama-3}
sticky: X-Session-Id
store: edge.db
workspace: search
admin: {tokens: [{name: alice, token: env:ADMIN_TOKEN, scope: viewer}]}
cache_max_size: 100MiB
cache_ttl: 60
contract: tokenpak
"""


def _shown(text: str, tmp_path: Path) -> tuple[str, Snapshot]:
    path = tmp_path / "edge.yaml"
    path.write_text(text)
    loaded = read(str(path), environ=ENVIRON)
    return show(loaded, ENVIRON), loaded.snapshot


def _bare(snapshot: Snapshot) -> Snapshot:
    return dataclasses.replace(snapshot, warnings=())


@pytest.mark.parametrize("text", [FULL, FULL + "models: {fast: openai/x, '*': [openai, anthropic]}\n",
                                  FULL + "models: {fast: [openai/x, {provider: openai, model: z, weight: 3}]}\n",
                                  EXAMPLE.read_text()], ids=["full", "models", "weights", "example"])
def test_shown_loads_the_same(text: str, tmp_path: Path) -> None:
    """What is shown loads again to the same Snapshot, and shows itself the same."""
    shown, before = _shown(text, tmp_path)
    again, after = _shown(shown, tmp_path)
    assert _bare(after) == _bare(before)
    assert _values(again) == _values(shown)


def _values(shown: str) -> list[str]:
    return [line.split("  #")[0].rstrip() for line in shown.splitlines() if not line.startswith("#")]


def test_shows_no_secret(tmp_path: Path) -> None:
    """References are shown as they are, plain secrets and what references lead to are not."""
    shown, _ = _shown(FULL.replace("env:OPENAI_API_KEY", "sk-secret-5").replace(
        "proxy: socks5h://", "proxy: socks5h://user:secret-6@"), tmp_path)
    assert "secret-" not in shown
    assert 'key: "***"' in shown and 'proxy: "***"' in shown and "keys: [env:ANTHROPIC_API_KEY" in shown
    assert "proxy: env:HTTPS_PROXY" in shown


def test_shows_where_values_come_from(config: Any) -> None:
    """Behind each value stands the file and line, the variable, the flag, or that it is a default."""
    environ = {"EDGE_RATE_LIMIT__BURST_SIZE": "5", "HTTPS_PROXY": "http://p:1", "SSL_CERT_FILE": "/roots.pem"}
    lines = show(config.read(config.good, environ, workers=3), environ).splitlines()
    noted = {line.split("#")[0].strip(): line.split("#")[1].strip() for line in lines if "#" in line}
    assert noted["port: 8766"].endswith("edge.yaml:1")
    assert noted["burst_size: 5"] == "EDGE_RATE_LIMIT__BURST_SIZE"
    assert noted["workers: 3"] == "--workers"
    assert "# timeout:" in {line.split("  ")[0] for line in lines}
    assert noted["first_byte: 30"] == noted["total: 600"] == "default"
    assert noted["key_header: authorization"] == "by kind"
    assert noted["port: 8767"] == "default: port + 1"
    assert noted["proxy: env:HTTPS_PROXY"] == "HTTPS_PROXY"
    azure = config.good.replace("{key:", "{base_url: https://a.openai.azure.com/openai/v1, key:")
    assert re.search("key_header: api-key +# by host", show(config.read(azure), {}))
    assert "# TLS roots: SSL_CERT_FILE=/roots.pem" in lines


def test_shows_where_a_short_form_is(config: Any) -> None:
    """What a short form says stands with its line, what it leaves out is a default."""
    text = config.good.replace("API_KEY}", "API_KEY, health_check: /models}")
    lines = show(config.read(text + "models: {a: [openai/b, {provider: openai, priority: 0}]}\n"), {}).splitlines()
    noted = [(line.split("#")[0].strip(" -"), line.rsplit(":", 1)[1]) for line in lines if "edge.yaml:" in line]
    assert {("path: /models", "4"), ("provider: openai", "7"), ("model: b", "7"), ("priority: 0", "7")} <= set(noted)
    assert not {"interval: 10", "weight: 1"} & {line for line, _ in noted}


def _keys() -> set[str]:
    sections = list(Strict.__subclasses__())
    for section in sections:
        sections += section.__subclasses__()
    return {key for section in sections for key in section.model_fields}


def test_every_key_is_shown(tmp_path: Path) -> None:
    """Every key there is appears in what is shown, with its default or as not set."""
    shown, _ = _shown(FULL + "models: {fast: openai/x}\nprices: {fast: {input: 1}}\n", tmp_path)
    assert _keys() - set(re.findall(r"[a-z_]+(?=:)", shown)) == {"provider", "model", "weight"}    # targets are short


def test_example_is_complete_and_loads() -> None:
    """The example names every key there is, and loads without a warning."""
    assert _keys() - set(re.findall(r"[a-z_]+(?=:)", EXAMPLE.read_text())) == set()
    assert load(str(EXAMPLE), environ=ENVIRON).warnings == ()


def test_example_shows_the_defaults(config: Any) -> None:
    """What the example calls a default is one: without these lines the same comes out."""
    text = EXAMPLE.read_text()
    for section in ("retry", "circuit_breaker", "queue", "limits", "contract", "admin", "cors",
                    "overload"):
        text = re.sub(rf"^{section}:.*\n(  .*\n)+", "", text, flags=re.M)
    for key in ("workers", "timeout", "provider_rate_limit", "rate_limit_headers", "bearer_only", "drain_timeout",
                "keepalive", "debug", "contract_files", "trusted_proxies", "proxy_protocol", "anthropic_members"):
        text = re.sub(rf"^{key}:.*\n", "", text, flags=re.M)
    for key in ("kind", "base_url", "timeouts", "  connect", "  first_byte", "  idle", "  total",
                "max_connections", "max_idle", "keep_alive", "headers", "models", "adaptive"):
        text = re.sub(rf"^    {key}:.*\n", "", text, count=1, flags=re.M)
    short = strict_yaml.load(text, "example").data
    assert short.keys() == {"port", "listen_addr", "providers", "keys", "models", "routes", "fallback", "catalogue"}
    assert short["providers"]["openai"].keys() == {"key"}
    assert config.load(text, ENVIRON) == load(str(EXAMPLE), environ=ENVIRON)


@given(st.recursive(st.booleans() | st.integers(-10**15, 10**15) | st.text(st.characters(codec="utf-8"), max_size=10)
                    | st.sampled_from(["on", "1:30", "010", "~", "a: b", "a #b", "- x", "env:A", "***", "0x1f"])
                    | st.floats(allow_nan=False, allow_infinity=False),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
                    max_leaves=6))
def test_written_values_read_back(value: Any) -> None:
    """Whatever value is written as YAML, the strict loader reads it back."""
    assert strict_yaml.load(f"key: {flow(value)}\n", "x").data == {"key": value}


def test_schema_agrees_with_the_example() -> None:
    """The JSON Schema knows every top-level key, requires what is required, and allows no null."""
    made = schema()
    assert set(made["properties"]) == set(Settings.model_fields)
    assert set(made["required"]) == {"port", "listen_addr", "providers"}
    assert '"null"' not in repr(made).replace("'", '"')
