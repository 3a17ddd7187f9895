"""Files that are wrong: each kind, its place, its code, and that all of it is told at once."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.config import ConfigError, load
from edge.values.snapshot import Snapshot

TOP = "port: 1\nlisten_addr: ::1\n"
PROVIDERS = "providers: {openai: {key: env:OPENAI_API_KEY}}\n"
KEYS = "keys: [{name: a, key: env:KEY_A}]\n"
ALL = TOP + PROVIDERS + KEYS

SYNTAX = {
    "tab": ("port: 1\nqueue:\n\tqueue_size: 3\n", 3),
    "duplicate key": (ALL + "port: 2\n", 5),
    "on": (ALL + "debug: on\n", 5),
    "minutes": (ALL + "timeout: 1:30\n", 5),
    "octal": (ALL + "timeout: 010\n", 5),
    "indentation": ("port: 1\n listen_addr: x\n", 2),
    "bracket": ("port: 1\nlisten_addr: [a\n", 2),
    "quote": ('port: 1\nlisten_addr: "x\n', 2),
    "anchor": (ALL + "admin: &a {}\n", 5),
    "second document": (ALL + "---\nport: 2\n", 6),
    "long key": (ALL + "models:\n  " + "m" * 1025 + ": openai\n", 6),
    "long key in braces": (ALL + "models: {" + "m" * 1025 + ": openai}\n", 5),
    "long key in quotes": (ALL + 'models:\n  "' + "m " * 512 + '": openai\n', 6),
    "control character": ("port: 1\nlisten_addr: a\x07\n", 2),
}

# text, then (line, column, code, key) of each problem
WRONG: dict[str, tuple[str, list[tuple[int | None, int | None, str, str]]]] = {
    "empty": ("", [(None, None, "CONFIG_002", key) for key in ("port", "listen_addr", "providers", "keys")]),
    "no port": (ALL.replace("port: 1\n", ""), [(None, None, "CONFIG_002", "port")]),
    "no address": (ALL.replace("listen_addr: ::1\n", ""), [(None, None, "CONFIG_002", "listen_addr")]),
    "no providers": (TOP + KEYS, [(None, None, "CONFIG_002", "providers")]),
    "no keys": (TOP + PROVIDERS, [(None, None, "CONFIG_002", "keys")]),
    "no key in the list": (TOP + PROVIDERS + "keys: []\n", [(4, 1, "CONFIG_002", "keys")]),
    "a list at the top": ("- port: 1\n", [(1, 1, "CONFIG_003", "")]),
    "no provider": (TOP + "providers: {}\n" + KEYS, [(3, 1, "CONFIG_003", "providers")]),
    "unknown key": (ALL + "prot: 2\n", [(5, 1, "CONFIG_003", "prot")]),
    "unknown key inside": (ALL + "queue:\n  size: 2\n", [(6, 3, "CONFIG_003", "queue.size")]),
    "text for a number": (ALL.replace("port: 1", 'port: "1"'), [(1, 1, "CONFIG_003", "port")]),
    "fraction": (ALL.replace("port: 1", "port: 1.5"), [(1, 1, "CONFIG_003", "port")]),
    "boolean for a number": (ALL + "timeout: true\n", [(5, 1, "CONFIG_003", "timeout")]),
    "number for a text": (ALL.replace("::1", "127001"), [(2, 1, "CONFIG_003", "listen_addr")]),
    "out of range": (ALL.replace("port: 1", "port: 65536"), [(1, 1, "CONFIG_003", "port")]),
    "number for a section": (ALL + "rate_limit: 5\n", [(5, 1, "CONFIG_003", "rate_limit")]),
    "nothing after the colon": (ALL + "queue:\n", [(5, 1, "CONFIG_003", "queue")]),
    "nothing for a required key": (ALL.replace("port: 1", "port:"), [(1, 1, "CONFIG_003", "port")]),
    "choice": (ALL + "provider_rate_limit: hide\n", [(5, 1, "CONFIG_003", "provider_rate_limit")]),
    "host name": (ALL.replace("::1", "example.com"), [(2, 1, "CONFIG_003", "listen_addr")]),
    "address with port": (ALL.replace("::1", "127.0.0.1:80"), [(2, 1, "CONFIG_003", "listen_addr")]),
    "open admin port": (ALL + "admin: {listen_addr: 0.0.0.0}\n", [(5, 9, "CONFIG_003", "admin.listen_addr")]),
    "admin on the data port": (ALL + "admin: {port: 1}\n", [(5, 9, "CONFIG_003", "admin.port")]),
    "no room for admin": (ALL.replace("port: 1", "port: 65535"), [(1, 1, "CONFIG_003", "port")]),
    "many workers": (ALL + "workers: 65\n", [(5, 1, "CONFIG_003", "workers")]),
    "target above head": (ALL + "limits: {target_bytes: 40000}\n",
                          [(5, 10, "CONFIG_003", "limits.target_bytes")]),
    "many retries": (ALL + "retry: {max: 11}\n", [(5, 9, "CONFIG_003", "retry.max")]),
    "another backoff": (ALL + "retry: {backoff: linear}\n", [(5, 9, "CONFIG_003", "retry.backoff")]),
    "long backoff": (ALL + "retry: {backoff: 31}\n", [(5, 9, "CONFIG_003", "retry.backoff")]),
    "budget above all": (ALL + "retry: {budget: 1.1}\n", [(5, 9, "CONFIG_003", "retry.budget")]),
    "unknown key of the breaker": (ALL + "circuit_breaker: {failure: 5}\n",
                                   [(5, 19, "CONFIG_003", "circuit_breaker.failure")]),
    "no rate": (ALL + "circuit_breaker: {failure_rate: 0}\n",
                [(5, 19, "CONFIG_003", "circuit_breaker.failure_rate")]),
    "short window": (ALL + "circuit_breaker: {window: 0.5}\n", [(5, 19, "CONFIG_003", "circuit_breaker.window")]),
    "open time above its most": (ALL + "circuit_breaker: {open_time: 61}\n",
                                 [(5, 19, "CONFIG_003", "circuit_breaker.open_time")]),
    "what else to do": (ALL + "circuit_breaker: {all_open: wait}\n",
                        [(5, 19, "CONFIG_003", "circuit_breaker.all_open")]),
    "no wait": (ALL + "queue: {timeout: 0}\n", [(5, 9, "CONFIG_003", "queue.timeout")]),
    "priority of a key": (ALL.replace("KEY_A}", "KEY_A, priority: 1}"), [(4, 34, "CONFIG_003", "keys[0].priority")]),
    "no header": (ALL + "sticky: a b\n", [(5, 1, "CONFIG_003", "sticky")]),
    "a key for a session": (ALL + "sticky: Authorization\n", [(5, 1, "CONFIG_003", "sticky")]),
    "the gateway's own header": (ALL + "sticky: x-edge-target\n", [(5, 1, "CONFIG_003", "sticky")]),
    "a header of the connection": (ALL + "sticky: keep-alive\n", [(5, 1, "CONFIG_003", "sticky")]),
    "fallback as a list": (ALL + "fallback: [openai]\n", [(5, 1, "CONFIG_003", "fallback")]),
    "nothing to fall back to": (ALL + "fallback: {openai: []}\n", [(5, 12, "CONFIG_003", "fallback.openai")]),
    **{f"origin {name}": (ALL + f"cors: {{origins: [{name}]}}\n", [(5, 18, "CONFIG_003", "cors.origins[0]")])
       for name in ('"null"', '"https://a/"', '"HTTPS://a"', '"a.example"', '"https://*.a"', '"https://a:443"',
                    '"http://a:80"', '"https://a b"')},
    **{f"access log {path[:9]}": (ALL + f"access_log: {{path: {path}}}\n", [(5, 14, "CONFIG_003", "access_log.path")])
       for path in ("/", "/nowhere/at/all", "x" * 300, "/" + "x/" * 2040)},
    "share of no condition": (ALL + "access_log: {path: x, sample: {OK: 1}}\n",
                              [(5, 32, "CONFIG_003", "access_log.sample.OK")]),
    **{f"traces to {url}": (ALL + f"tracing: {{endpoint: '{url}'}}\n", [(5, 11, "CONFIG_003", "tracing.endpoint")])
       for url in ("otel:4318", "http://otel:4318", "http://otel/", "http://a:b@otel/v1/traces", "http://otel/v1?x=1",
                   "grpc://otel:4317/x", "http://otel:99999/v1")},
    "cache size": (ALL + "cache_max_size: much\n", [(5, 1, "CONFIG_003", "cache_max_size")]),
    "cache too small": (ALL + "workers: 3\ncache_max_size: 200KB\n", [(6, 1, "CONFIG_003", "cache_max_size")]),
    "cache without end": (ALL + "cache_max_size: 9999999TB\n", [(5, 1, "CONFIG_003", "cache_max_size")]),
    "cache in no folder": (ALL + "cache_max_size: 1GB\ncache_dir: nowhere\n", [(6, 1, "CONFIG_003", "cache_dir")]),
    "cache for no time": (ALL + "cache_ttl: 0\n", [(5, 1, "CONFIG_003", "cache_ttl")]),
    "unknown contract": (ALL + "contract: tokenpk\n", [(5, 1, "CONFIG_003", "contract")]),
    "unknown contract of a surface": (ALL + "contract: {anthropic: x}\n",
                                      [(5, 12, "CONFIG_003", "contract.anthropic")]),
    "missing contract file": (ALL + "contract_files: [none.yaml]\n", [(1, 1, "CONFIG_003", "")]),
    "slow refill": (ALL + "rate_limit: {requests_per_second: 1.0e-6}\n", [(5, 1, "CONFIG_003", "rate_limit")]),
    "short key secret": (ALL + "key_secret: short\n", [(5, 1, "CONFIG_003", "key_secret")]),
    "short admin token": (ALL + "admin: {tokens: [{name: a, token: short, scope: viewer}]}\n",
                          [(5, 28, "CONFIG_003", "admin.tokens[0].token")]),
    "scope": (ALL + "admin: {tokens: [{name: a, token: sk-0123456789abcdef, scope: root}]}\n",
              [(5, 56, "CONFIG_003", "admin.tokens[0].scope")]),
    "one token twice": (ALL + "admin: {tokens: [{name: a, token: sk-0123456789abcdef, scope: owner},\n"
                        "  {name: a, token: sk-0123456789abcdef, scope: viewer}]}\n",
                        [(6, 4, "CONFIG_003", "admin.tokens[1].name"),
                         (6, 13, "CONFIG_003", "admin.tokens[1].token")]),
    "short admin key": (ALL + "admin: {key: short}\n", [(5, 9, "CONFIG_003", "admin.key")]),
}


@pytest.mark.parametrize(("text", "line"), SYNTAX.values(), ids=SYNTAX)
def test_syntax(config: Any, text: str, line: int) -> None:
    """Text that is no YAML, or a trap of YAML, is CONFIG_001 with TokenPak's message and a way out."""
    found = config.problem(text)
    assert (found.code, found.message) == (
        "CONFIG_001", f"Failed to load config: YAML syntax error at line {line}")
    assert found.place.line == line and found.place.column and found.detail and found.way_out


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG)
def test_wrong(config: Any, text: str, expected: list[tuple[int, int, str, str]]) -> None:
    """A wrong value is told once, with its line, column, code, key and way out."""
    found = config.problems(text)
    assert [(p.place.line, p.place.column, p.code, p.key) for p in found] == expected
    assert all(p.way_out for p in found)


def test_missing_field_has_tokenpaks_message(config: Any) -> None:
    """A missing key is told in exactly TokenPak's words."""
    assert config.problem(ALL.replace("port: 1\n", "")).message == (
        "Config validation failed: Missing required field 'port'")


def test_everything_at_once(config: Any) -> None:
    """Problems of shape, of references and between keys are told in one run, in the file's order."""
    found = config.problems("""\
        listen_addr: 127.0.0.1
        prot: 8766
        providers:
          openai: {key: env:NOT_SET}
          vllm: {kind: openai, max_idle: x}
        keys:
          - {name: a, key: env:KEY_A}
          - {name: a, hash: abc}
          - {name: b, key: env:KEY_A, scopes: [chatt]}
        models:
          fast: opena/x
          slow: 5
        rate_limit: {burst_size: 0}
        """)
    assert [(p.place.line, p.key) for p in found] == [
        (None, "port"), (2, "prot"), (4, "providers.openai.key"), (5, "providers.vllm.base_url"),
        (5, "providers.vllm.max_idle"), (8, "keys[1].name"), (8, "keys[1].hash"), (9, "keys[2]"),
        (9, "keys[2].scopes[0]"), (11, "models.fast[0]"), (12, "models.slow[0]"), (13, "rate_limit.burst_size")]


def test_traps_hide_nothing_else(config: Any) -> None:
    """What YAML's readers disagree on is told once, in one run with all that is wrong beside it and in its section."""
    found = config.problems("""\
        port: 1
        port: 010
        listen_addr: on
        admin: &admin {listen_addr: 127.0.0.1}
        providers:
          openai: {key: env:NOT_SET, timeouts: {idle: 1:30, total: x}}
          2: {key: env:KEY_A, max_idle: x}
        keys:
          - {name: a, key: env:KEY_A, scopes: [yes]}
          - {name: b}
        rate_limit: {burst_size: 0, <<: *admin}
        prot: .nan
        """)
    assert [(p.place.line, p.code, p.key) for p in found] == [
        (2, "CONFIG_001", "port"), (2, "CONFIG_001", "port"), (3, "CONFIG_001", "listen_addr"),
        (4, "CONFIG_001", "admin"), (6, "CONFIG_003", "providers.openai.key"),
        (6, "CONFIG_001", "providers.openai.timeouts.idle"), (6, "CONFIG_003", "providers.openai.timeouts.total"),
        (7, "CONFIG_001", "providers.2"), (9, "CONFIG_001", "keys[0].scopes[0]"), (10, "CONFIG_003", "keys[1]"),
        (11, "CONFIG_003", "rate_limit.burst_size"), (11, "CONFIG_001", "rate_limit.<<"),
        (11, "CONFIG_001", "rate_limit.<<"), (12, "CONFIG_001", "prot")]


@pytest.mark.parametrize(("text", "way_out"), [
    (ALL + "prot: 2\n", "did you mean port?"),
    (ALL + "queue: {queue_siz: 2}\n", "did you mean queue_size?"),
    (ALL + "circuit_breaker: {failure: 5}\n", "did you mean failures?"),
    (ALL + "anthropic_key: sk-x\n", "providers: {anthropic: {key: env:ANTHROPIC_API_KEY}}"),
    (ALL + "openai_api_key: sk-x\n", "providers: {openai: {key: env:OPENAI_API_KEY}}"),
    (ALL.replace("key: env:OPENAI_API_KEY", "api_key: env:OPENAI_API_KEY"), "it is called key"),
    (ALL + "retry: {max_retries: 5}\n", "it is called max"),
    (ALL + "host: 0.0.0.0\n", "it is called listen_addr"),
    (ALL + "retry: {maximum: 5}\n", "did you mean max?"),
    (ALL + "fallback: {opnai: openai}\n", "did you mean openai?"),
    (ALL + "models: {a: opnai}\n", "did you mean openai?"),
    (ALL + "rate_limit: {burst_size: 0}\n", "burst_size: 500"),
    (TOP + PROVIDERS, "edge auth --generate"),
    (TOP + "providers: {vllm: {kind: openai}}\n" + KEYS, "base_url: https://api.openai.com/v1"),
])
def test_way_out(config: Any, text: str, way_out: str) -> None:
    """The way out names the key that was meant, or shows how it is written."""
    assert way_out in config.problem(text).way_out


def test_contract_of_ones_own(config: Any) -> None:
    """A contract in a file of one's own is taken by its name; what is wrong in there is told with its place there."""
    own = config.write("name: ours\nbase: openai\n", "ours.yaml")
    text = ALL + "contract: ours\ncontract_files: [ours.yaml]\n"
    loaded = config.load(text)
    assert loaded.contract_files == (own,) and dict(loaded.contracts) == {"openai": "ours", "anthropic": "ours"}
    config.write("name: ours\nbase: opnai\n", "ours.yaml")
    found = config.problem(text)
    assert (found.place.source, found.place.line, found.key) == (own, 2, "base")


def test_rendering(config: Any) -> None:
    """A terminal gets file, line, column, code, key, message and way out of every problem, and their number."""
    path = config.write(ALL + "prot: 2\nrate_limit: {burst_size: x}\n")
    with pytest.raises(ConfigError) as caught:
        load(path, environ={"OPENAI_API_KEY": "x", "KEY_A": config.key})
    lines = caught.value.render().splitlines()
    assert lines[0] == f"{path}:5:1: CONFIG_003 prot: is not a known key"
    assert lines[1] == "    way out: did you mean port?"
    assert lines[2].startswith(f"{path}:6:14: CONFIG_003 rate_limit.burst_size: must be a whole number, got text")
    assert lines[-1].startswith("2 problems")
    assert caught.value.exit_code == 78


@pytest.mark.parametrize("content", [b"port: \xff\n", b"\xef\xbb\xbfport: \xc3"])
def test_bytes_that_are_no_text(tmp_path: Path, content: bytes) -> None:
    """A file that is not UTF-8 is a syntax error at the byte's line."""
    (tmp_path / "edge.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match="YAML syntax error at line 1"):
        load(str(tmp_path / "edge.yaml"), environ={})


@pytest.mark.parametrize("name, words, way_out", [
    ("none.yaml", "No such file", "check the path"), (".", "Is a directory", "name the file in it"),
    ("\0", "no path", "check the path"), ("pipe", "Nobody writes to this pipe", "reads it again"),
    ("socket", "No such device", "check the path"), ("/dev/full", "Not a file", "name a file"),
    ("big.yaml", "larger than 16 MB", "right file"),
    ("secret.yaml/x", "Not a directory", "check the path"), ("loop", "Too many levels", "check the path")])
def test_files_that_cannot_be_read(tmp_path: Path, name: str, words: str, way_out: str) -> None:
    """What is no file, or none that can be read, is told at once as what it is, with a way out that fits."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "secret.yaml").touch()
    (tmp_path / "loop").symlink_to("loop")
    with (tmp_path / "big.yaml").open("wb") as big:
        big.truncate((16 << 20) + 1)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    with pytest.raises(ConfigError, match="Failed to load config") as caught:
        load(name if name[0] == "/" else f"{tmp_path}/{name}", environ={})
    [problem] = caught.value.problems
    assert problem.code == "CONFIG_001" and words in problem.message and way_out in problem.way_out


def test_programs_are_no_configuration(tmp_path: Path) -> None:
    """A file of bytes is told as such, not as text with one wrong byte."""
    with pytest.raises(ConfigError, match="no text at all"):
        load(sys.executable, environ={})


def test_a_pipe_that_is_written_to(config: Any, tmp_path: Path) -> None:
    """A configuration may come through a pipe, as the shell's <( ) gives one."""
    ours, theirs = os.pipe()
    os.write(theirs, ALL.encode())
    os.close(theirs)
    assert load(f"/dev/fd/{ours}", environ={"OPENAI_API_KEY": "x", "KEY_A": config.key}).port == 1
    os.close(ours)


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(
    ["env:KEY_A", "file:x", "openai", "openai/gpt", "*", "::1", "https://x", "auto"])
_NAMES = st.sampled_from(["port", "listen_addr", "providers", "keys", "models", "routes", "openai", "kind", "name",
                          "base_url", "key", "hash", "rate_limit", "admin", "contract", "proxy", "headers", "*",
                          "limits", "timeouts", "workers", "expires", "scopes", "fallback", "queue", "retry",
                          "circuit_breaker", "sticky", "health_check", "weight", "priority"])
_TREES = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    _NAMES | st.text(max_size=5), inner, max_size=5), max_leaves=25)


def _loads_or_tells(folder: Path, content: bytes) -> None:
    path = folder / "edge.yaml"
    path.write_bytes(content)
    try:
        assert isinstance(load(str(path), environ={"KEY_A": "sk-0123456789abcdefghij"}), Snapshot)
    except ConfigError as error:
        assert error.problems and error.render()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    """Whatever a file holds, it loads or raises ConfigError."""
    _loads_or_tells(tmp_path, content)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=st.dictionaries(_NAMES, _TREES, max_size=8))
def test_any_tree(tmp_path: Path, tree: dict[str, Any]) -> None:
    """Whatever values the known keys hold, the file loads or raises ConfigError."""
    _loads_or_tells(tmp_path, yaml.safe_dump(tree, allow_unicode=True).encode())


def test_deep_nesting(config: Any) -> None:
    """A file that nests without end is an error like any other."""
    assert config.problem("a: " + "[" * 5000).code == "CONFIG_001"
