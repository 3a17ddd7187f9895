"""Flags over the environment over the file over defaults, and where the file is."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from edge.config import ConfigError, address, find, load


def test_layers(config: Any) -> None:
    """A flag wins over a variable, a variable over the file, the file over the default."""
    text = config.good + "rate_limit: {burst_size: 7}\n"
    assert config.load(config.good).limit is None
    assert config.load(text).limit.burst == 7
    assert config.load(text, {"EDGE_RATE_LIMIT__BURST_SIZE": "8"}).limit.burst == 8
    flags = {"rate_limit.burst_size": 9, "workers": 3, "debug": None}
    loaded = config.load(text, {"EDGE_RATE_LIMIT__BURST_SIZE": "8", "EDGE_DEBUG": "true"}, **flags)
    assert (loaded.limit.burst, loaded.workers, loaded.debug) == (9, 3, True)


@pytest.mark.parametrize(("name", "value", "expected"), [
    ("EDGE_PORT", "9000", lambda s: s.port == 9000),
    ("EDGE_LISTEN_ADDR", "0.0.0.0", lambda s: s.listen_addr == "0.0.0.0"),
    ("EDGE_TIMEOUT", "1.5", lambda s: s.providers[0].first_byte_timeout == 1.5),
    ("EDGE_BEARER_ONLY", "true", lambda s: s.bearer_only),
    ("EDGE_WORKERS", "2", lambda s: s.workers == 2),
    ("EDGE_PROVIDER_RATE_LIMIT", "mask", lambda s: "mask_rate_limit" in s.flags),
    ("EDGE_CONTRACT", "tokenpak", lambda s: dict(s.contracts) == {"openai": "tokenpak", "anthropic": "tokenpak"}),
    ("EDGE_CONTRACT__ANTHROPIC", "tokenpak", lambda s: dict(s.contracts)["anthropic"] == "tokenpak"),
    ("EDGE_ADMIN__PORT", "0", lambda s: s.admin_port == 0),
    ("EDGE_ADMIN__KEY", "12345678901234567890", lambda s: s.admin_key.reveal() == "12345678901234567890"),
    ("EDGE_PROVIDERS__OPENAI__BASE_URL", "http://[::1]/v1", lambda s: s.providers[0].base_url == "http://[::1]/v1"),
    ("EDGE_PROVIDERS__OPENAI__TIMEOUTS__IDLE", "9", lambda s: s.providers[0].idle_timeout == 9),
    ("EDGE_PROVIDERS__VLLM", "{kind: openai, base_url: 'http://[::1]:8000/v1'}", lambda s: len(s.providers) == 2),
    ("EDGE_MODELS", "{fast: openai/gpt-5-mini}", lambda s: s.models[0].name == "fast"),
    ("EDGE_QUEUE__QUEUE_SIZE", "5", lambda s: s.bounds.queue == 5),
    ("EDGE_RETRY__MAX", "0", lambda s: s.retry.max == 0),
    ("EDGE_CIRCUIT_BREAKER__ENABLED", "false", lambda s: not s.breaker.enabled),
    ("EDGE_STICKY", "x-session-id", lambda s: s.sticky == "x-session-id"),
    ("EDGE_PROVIDERS__OPENAI__HEALTH_CHECK", "/models", lambda s: s.providers[0].health_check.path == "/models"),
    ("EDGE_FALLBACK", "{openai: openai/a}", lambda s: s.models[0].targets[1].model == "a"),
    ("EDGE_FALLBACK__OPENAI", "openai/a", lambda s: s.models[0].targets[1].model == "a"),
    ("EDGE_LIMITS__BODY_BYTES", "5", lambda s: s.bounds.body_bytes == 5),
])
def test_variables(config: Any, name: str, value: str, expected: Any) -> None:
    """A variable sets its key by the key's own type; lists and mappings are YAML on one line."""
    assert expected(config.load(config.good, {name: value}))


def test_variable_for_a_name_it_cannot_spell(config: Any) -> None:
    """A provider named with characters that variables cannot have is met by _ in their place."""
    text = config.good.replace("  openai: {", "  my-own.ai: {kind: openai, base_url: 'https://a.example/v1', ")
    loaded = config.load(text, {"EDGE_PROVIDERS__MY_OWN_AI__MAX_IDLE": "3"})
    assert [(p.name, p.max_idle) for p in loaded.providers] == [("my-own.ai", 3)]


@pytest.mark.parametrize(("name", "value", "key", "said"), [
    ("EDGE_PROT", "1", "EDGE_PROT", "did you mean EDGE_PORT?"),
    ("EDGE_QUEUE__SIZE", "1", "EDGE_QUEUE__SIZE", "EDGE_QUEUE__QUEUE_SIZE"),
    ("EDGE_QUEUE_QUEUE_SIZE", "1", "EDGE_QUEUE_QUEUE_SIZE", "two underscores"),
    ("EDGE_KEYS__0__NAME", "a", "EDGE_KEYS__0__NAME", "set EDGE_KEYS as a whole"),
    ("EDGE_PORT__X", "1", "EDGE_PORT__X", "set EDGE_PORT as a whole"),
    ("EDGE_MODELS", "{", "EDGE_MODELS", "YAML on one line"),
    ("EDGE_PORT", "many", "port", "port: 8766"),
    ("EDGE_PORT", "010", "EDGE_PORT", "YAML on one line"),
])
def test_wrong_variables(config: Any, name: str, value: str, key: str, said: str) -> None:
    """A variable that is no setting, or holds no value for it, is told by its name with a way out."""
    found = config.problem(config.good, {name: value})
    assert found.key == key and said in found.way_out
    assert name in (found.key, found.place.source)


@pytest.mark.parametrize("name", [
    "EDGE_CONFIG", "EDGE_TEST_REDIS_URL", "EDGE_SANITIZE", "EDGE_ONLY", "EDGE_BENCH_ROUNDS", "EDGE_lower", "EDGED",
    "_EDGE_COMPLETE", "EDGE_SERVICE_HOST", "EDGE_SERVICE_PORT_HTTP", "EDGE_PORT_8766_TCP_ADDR"])
def test_variables_that_are_no_settings(config: Any, name: str) -> None:
    """What tests, builds, the shell and Kubernetes set is no setting and no error."""
    assert config.load(config.good, {name: "something"}) == config.load(config.good)


@pytest.mark.parametrize("service", ["EDGE", "EDGE_GATEWAY", "EDGE_2", "EDGE_RATE_LIMIT", "EDGE_ADMIN", "EDGE__X"])
def test_service_links(config: Any, service: str) -> None:
    """All that Kubernetes sets for a Service whose name begins with edge is left alone, whatever keys there are."""
    links = {"SERVICE_HOST": "10.0.0.1", "SERVICE_PORT": "8766", "SERVICE_PORT_HTTP": "8766",
             "SERVICE_PORT_HTTP_METRICS": "8767", "PORT": "tcp://10.0.0.1:8766",
             "PORT_8766_TCP": "tcp://10.0.0.1:8766", "PORT_8766_TCP_PROTO": "tcp", "PORT_8766_TCP_PORT": "8766",
             "PORT_8766_TCP_ADDR": "10.0.0.1", "PORT_53_UDP": "udp://[fd00::1]:53", "PORT_53_UDP_ADDR": "fd00::1"}
    loaded = config.load(config.good, {f"{service}_{name}": value for name, value in links.items()})
    assert dataclasses.replace(loaded, warnings=()) == config.load(config.good)


@pytest.mark.parametrize(("name", "value", "said"), [
    ("EDGE_GATEWAY_PORT", "8080", "did you mean"), ("EDGE_ADMIN__PORT", "tcp://10.0.0.1:1", "8767"),
    ("EDGE_LISTEN_ADRR", "::1", "did you mean EDGE_LISTEN_ADDR?"), ("EDGE_ADMIN_PORT", "1", "EDGE_ADMIN__PORT"),
    ("EDGE_RATE_LIMIT_BURST_SIZE", "1", "did you mean EDGE_RATE_LIMIT__BURST_SIZE?"),
    ("EDGE_CIRCUIT_BREAKER__ENABELD", "1", "did you mean EDGE_CIRCUIT_BREAKER__ENABLED?")])
def test_what_only_looks_like_a_link(config: Any, name: str, value: str, said: str) -> None:
    """A setting that is misspelt is still told, with the one that was meant."""
    assert said in config.problem(config.good, {name: value}).way_out


def test_empty_variable(config: Any) -> None:
    """An empty variable is an unset one."""
    assert config.load(config.good, {"EDGE_PORT": ""}).port == 8766


def test_service_link(config: Any) -> None:
    """Kubernetes' EDGE_PORT beside a Service named edge is passed over with a warning that says what to do."""
    loaded = config.load(config.good, {"EDGE_PORT": "tcp://10.0.0.1:8766"})
    assert loaded.port == 8766 and "enableServiceLinks" in loaded.warnings[0]


def test_variable_that_the_file_refers_to(config: Any) -> None:
    """A variable that the file names by env: may be called EDGE_ whatever it likes."""
    text = config.good.replace("env:OPENAI_API_KEY", "env:EDGE_MY_SECRET")
    assert config.load(text, {"EDGE_MY_SECRET": "sk-x"}).providers[0].keys[0].reveal() == "sk-x"


def test_required_keys_from_the_environment(config: Any) -> None:
    """Variables can give all that is required: the file may be empty."""
    loaded = config.load("", {
        "EDGE_PORT": "1", "EDGE_LISTEN_ADDR": "127.0.0.1", "EDGE_PROVIDERS": "{openai: {key: env:OPENAI_API_KEY}}",
        "EDGE_KEYS": "[{name: a, key: env:KEY_A}]"})
    assert (loaded.port, len(loaded.providers), len(loaded.keys)) == (1, 1, 1)


def test_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is the one named, else $EDGE_CONFIG, else ./edge.yaml, ~/.edge's, /etc's, or TokenPak's."""
    monkeypatch.chdir(tmp_path)
    environ = {"HOME": str(tmp_path / "home")}
    absent = find(environ=environ)
    assert absent in (None, Path("/etc/edge/config.yaml"))
    (tmp_path / "home/.tokenpak").mkdir(parents=True)
    tokenpaks = tmp_path / "home/.tokenpak/config.yaml"
    tokenpaks.write_text("")
    assert find(environ=environ) == (absent or tokenpaks)
    (tmp_path / "home/.edge").mkdir(parents=True)
    at_home = tmp_path / "home/.edge/config.yaml"
    at_home.write_text("")
    assert find(environ=environ) == at_home
    (tmp_path / "edge.yaml").write_text("")
    assert find(environ=environ) == Path("edge.yaml")
    assert find(environ={**environ, "EDGE_CONFIG": "/x"}) == Path("/x")
    assert find("/y", environ={**environ, "EDGE_CONFIG": "/x"}) == Path("/y")


def test_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any file the error names the places that were looked at."""
    monkeypatch.chdir(tmp_path)
    if find(environ={}) is not None:
        pytest.skip("this host has /etc/edge/config.yaml")
    with pytest.raises(ConfigError) as caught:
        load(environ={})
    assert "/etc/edge/config.yaml" in caught.value.render()


@pytest.mark.parametrize(("text", "environ", "expected"), [
    ("port: 9000\nlisten_addr: 0.0.0.0\n", {}, ("0.0.0.0", 9000)),
    ("port: 9000\nlisten_addr: 0.0.0.0\n", {"EDGE_PORT": "9001"}, ("0.0.0.0", 9001)),
    ("port: many\n", {}, ("127.0.0.1", 8766)),
    ("port: [", {}, ("127.0.0.1", 8766)),
])
def test_address(config: Any, text: str, environ: dict[str, str], expected: tuple[str, int]) -> None:
    """The address is found however wrong the rest of the configuration is."""
    assert address({"EDGE_CONFIG": config.write(text), **environ})[:2] == expected


def test_version(config: Any) -> None:
    """A Snapshot bears the version it was loaded as."""
    environ = {"OPENAI_API_KEY": "x", "KEY_A": config.key}
    assert load(config.write(config.good), environ=environ, version=7).version == 7
