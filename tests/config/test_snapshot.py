"""What a file means: the Snapshot that comes of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from edge.config.building.memory import share
from edge.config.building.patterns import Patterns
from edge.values.patterns import covers
from edge.values.snapshot import Bounds, Breaker, Caching, HealthCheck, Limit, Model, Relay, Retry, Target

BASE = "port: 1\nlisten_addr: 127.0.0.1\nkeys: [{name: a, key: env:KEY_A}]\n"
LOCAL = "{kind: openai, base_url: 'http://127.0.0.1:1/v1'"
THREE = BASE + f"""\
providers:
  anthropic: {{key: env:OPENAI_API_KEY}}
  openai: {{key: env:OPENAI_API_KEY}}
  local: {LOCAL}, models: [qwen, "llama-*"]}}
"""


def test_defaults(config: Any) -> None:
    """A file with the required keys alone has the documented defaults."""
    loaded = config.load(config.good)
    assert (loaded.port, loaded.listen_addr, loaded.admin_addr, loaded.admin_port) == (
        8766, "127.0.0.1", "127.0.0.1", 8767)
    assert (loaded.limit, loaded.relays) == (None, ())
    assert loaded.bounds == Bounds(memory_bytes=share(loaded.workers))
    assert dict(loaded.contracts) == {"openai": "openai", "anthropic": "anthropic"}
    assert (loaded.bearer_only, loaded.flags, loaded.debug, loaded.drain_timeout) == (
        False, (), False, 30)
    assert loaded.workers >= 1 and loaded.admin_key is None and loaded.warnings == ()
    [provider] = loaded.providers
    assert (provider.kind, provider.base_url, provider.proxy) == ("openai", "https://api.openai.com/v1", None)
    assert (provider.first_byte_timeout, provider.max_connections, provider.ca_bundle) == (30, 0, None)
    assert (loaded.retry, loaded.breaker, loaded.sticky) == (Retry(), Breaker(), None)
    assert (provider.adaptive, provider.health_check, loaded.keys[0].priority) == (True, None, 1)


def test_what_happens_when_providers_fail(config: Any) -> None:
    """Retries, the breaker, the queue, sessions, priorities of keys and health checks are set by their keys."""
    loaded = config.load(BASE.replace("KEY_A", "KEY_A, priority: high") + """\
providers:
  a: {kind: openai, base_url: "http://127.0.0.1:1/v1", adaptive: false, health_check: /models}
  b: {kind: openai, base_url: "http://127.0.0.1:2/v1", health_check: {path: "/health?deep=1", unhealthy: 1}}
models: {"*": [a, b]}
retry: {max: 0, backoff: 0.5, budget: 1, max_wait: 0}
circuit_breaker: {failures: 3, failure_rate: 0.25, minimum: 4, window: 5, open_time: 0.5, max_open_time: 6, ramp: 0,
                  all_open: refuse}
queue: {queue_size: 0, timeout: 2.5}
sticky: X-Session-Id
""")
    assert loaded.retry == Retry(max=0, backoff=0.5, budget=1, max_wait=0)
    assert (loaded.sticky, loaded.keys[0].priority) == ("x-session-id", 0)
    assert loaded.breaker == Breaker(enabled=True, failures=3, failure_rate=0.25, minimum=4, window=5, open_time=0.5,
                                     max_open_time=6, ramp=0, all_open="refuse")
    assert (loaded.bounds.queue, loaded.bounds.queue_timeout) == (0, 2.5)
    a, b = loaded.providers
    assert (a.adaptive, a.health_check) == (False, HealthCheck("/models"))
    assert (b.adaptive, b.health_check) == (True, HealthCheck("/health?deep=1", unhealthy=1))


def test_a_tokenpak_file_loads(config: Any) -> None:
    """Every key of TokenPak's file loads; those not in force yet are told with line and key."""
    two = config.good.replace("keys:", f"  azure: {LOCAL}}}\nkeys:")
    loaded = config.load(two + """\
rate_limit:
  requests_per_second: 200
  burst_size: 1000
provider_rate_limit: mask
timeout: 60
queue:
  queue_size: 50
circuit_breaker:
  enabled: false
fallback: {openai: [azure]}
cache_max_size: 500MB
""")
    assert loaded.limit == Limit(200, 1000) and loaded.flags == ("mask_rate_limit",)
    assert loaded.providers[0].first_byte_timeout == 60 and loaded.bounds.queue == 50
    assert not loaded.breaker.enabled
    assert loaded.models == (Model("*", (Target("openai"), Target("azure", priority=1))),)
    assert loaded.cache == Caching(500_000_000, 3600) and not loaded.warnings


def test_no_limit(config: Any) -> None:
    """Zero requests per second is no limit."""
    assert config.load(config.good + "rate_limit: {requests_per_second: 0}\n").limit is None


@pytest.mark.parametrize(("text", "expected"), [
    ("", None), ("rate_limit:\n", Limit(100, 500)), ("rate_limit: {}\n", Limit(100, 500)),
    ("rate_limit: {burst_size: 5}\n", Limit(100, 5)), ("rate_limit: {requests_per_second: 5}\n", Limit(5, 500)),
    ("rate_limit: {shadow: true}\n", Limit(100, 500)), ("rate_limit: {concurrent_requests: 5}\n", None),
    ("rate_limit: {tokens_per_minute: 5}\n", None),
    ("rate_limit: {burst_size: 5, tokens_per_minute: 5}\n", Limit(100, 5))])
def test_limit_only_where_it_is_written(config: Any, text: str, expected: Limit | None) -> None:
    """Without rate_limit there is no limit; where it is written and limits nothing else, a number that it lacks is
    TokenPak's."""
    assert config.load(config.good + text).limit == expected


def test_limit_from_the_environment_alone(config: Any) -> None:
    """A variable writes the section, also where the file has left it empty."""
    for text in ("", "rate_limit:\n"):
        assert config.load(config.good + text, {"EDGE_RATE_LIMIT__BURST_SIZE": "9"}).limit == Limit(100, 9)


def test_exponential_backoff(config: Any) -> None:
    """TokenPak's `backoff: exponential` is what edge's always is."""
    assert config.load(config.good + "retry: {backoff: exponential}\n") == config.load(config.good)


def test_roots_of_other_programs(config: Any, tmp_path: Path) -> None:
    """What REQUESTS_CA_BUNDLE names is trusted too, unless the provider has a bundle; no file is no error."""
    pem = tmp_path / "roots.pem"
    pem.write_text(trustme.CA().cert_pem.bytes().decode())
    assert config.load(config.good, {"REQUESTS_CA_BUNDLE": str(pem)}).providers[0].ca_bundle == str(pem)
    other = {"REQUESTS_CA_BUNDLE": "/nowhere.pem"}
    own = config.good.replace("env:OPENAI_API_KEY", f"env:OPENAI_API_KEY, ca_bundle: {pem}")
    assert config.load(own, other).providers[0].ca_bundle == str(pem)
    loaded = config.load(config.good, other)
    assert loaded.providers[0].ca_bundle is None and "REQUESTS_CA_BUNDLE" in loaded.warnings[0]


def test_kernel_chosen_port(config: Any) -> None:
    """Port 0 leaves the choice to the kernel, for admin as well."""
    loaded = config.load(config.good.replace("8766", "0"))
    assert (loaded.port, loaded.admin_port) == (0, 0)


@pytest.mark.parametrize(("address", "expected"), [
    ("localhost", "127.0.0.1"), ("'::1'", "::1"), ("0.0.0.0", "0.0.0.0"), ("'0:0::1'", "::1")])
def test_addresses(config: Any, address: str, expected: str) -> None:
    """An address is an IP address in its short form; localhost is 127.0.0.1."""
    assert config.load(config.good.replace("127.0.0.1", address)).listen_addr == expected


def test_open_admin_port_with_a_key(config: Any) -> None:
    """The admin port may listen beyond loopback when it has a key."""
    loaded = config.load(config.good + "admin: {listen_addr: 0.0.0.0, key: env:KEY_A, port: 9}\n")
    assert (loaded.admin_addr, loaded.admin_port, loaded.admin_key.reveal()) == ("0.0.0.0", 9, config.key)


def test_models(config: Any) -> None:
    """Names come before patterns, patterns stay in order, and each form of a target is understood."""
    loaded = config.load(THREE + """\
models:
  "gpt-*": openai
  fast: openai/gpt-5-mini
  deep:
    - {provider: anthropic, model: claude/opus}
    - openai
  "*": [local/qwen]
""")
    assert loaded.models == (
        Model("fast", (Target("openai", "gpt-5-mini"),)),
        Model("deep", (Target("anthropic", "claude/opus"), Target("openai", priority=1))),
        Model("gpt-*", (Target("openai"),)),
        Model("*", (Target("local", "qwen"),)))


def test_models_by_default(config: Any) -> None:
    """Without models, a provider's own patterns lead to it, all else to the first of the dialect without any."""
    assert config.load(THREE).models == (
        Model("qwen", (Target("local"), Target("anthropic", priority=1))),
        Model("llama-*", (Target("local"), Target("anthropic", priority=1))),
        Model("*", (Target("openai"), Target("anthropic", priority=1))))


def test_shares(config: Any) -> None:
    """Targets are used in the list's order unless they say a priority; those of equal priority have weights."""
    [model] = config.load(THREE + """\
models:
  a: [openai/b, {provider: openai, priority: 0, weight: 9}, {provider: anthropic, weight: 2}, local/qwen]
""").models
    assert model.targets == (Target("openai", "b"), Target("openai", weight=9), Target("anthropic", None, 2, 2),
                             Target("local", "qwen", 3))


def test_the_narrowest_pattern_wins_by_default(config: Any) -> None:
    """Of providers' own patterns the narrowest comes first, and one pattern of two providers has both in order."""
    providers = "".join(f"  {name}: {LOCAL}, models: [{models}]}}\n" for name, models in (
        ("wide", "'gpt-*'"), ("narrow", "'gpt-5*'"), ("exact", "gpt-5-mini"), ("twin", "'gpt-5*'")))
    assert config.load(BASE + "providers:\n" + providers).models == (
        Model("gpt-5-mini", (Target("exact"),)),
        Model("gpt-5*", (Target("narrow"), Target("twin", priority=1))),
        Model("gpt-*", (Target("wide"),)))


@pytest.mark.parametrize(("models", "key", "said"), [
    ("{a: nowhere/x}", "models.a[0]", "there is no provider nowhere"),
    ("{a: [openai, openai]}", "models.a[1]", "is the same target again"),
    ("{a: [openai, {provider: openai, weight: 2}]}", "models.a[1]", "is the same target again"),
    ("{a: [{provider: openai, weight: 0}]}", "models.a[0].weight", "at least 1"),
    ("{a: [{provider: openai, priority: 256}]}", "models.a[0].priority", "at most 255"),
    ("{a: local/gpt-5}", "models.a[0]", "local does not serve gpt-5"),
    ("{a: /x}", "models.a", "a target is provider/model"),
    ("{a: openai/}", "models.a", "a target is provider/model"),
    ("{a: []}", "models.a", "at least one target"),
    ("{a: [{model: x}]}", "models.a[0].provider", "Missing required field"),
    ("{'a**': openai}", 'models.a**', "is no pattern"), ("{'': openai}", "models.", "is no pattern"),
    ("{'*': openai, 'gpt-*': openai}", "models.gpt-*", "is never reached: * above it"),
])
def test_wrong_models(config: Any, models: str, key: str, said: str) -> None:
    """A model that leads nowhere, or is never reached, is an error at its place."""
    found = config.problem(THREE + f"models: {models}\n")
    assert (found.place.line, found.key) == (8, key) and said in found.message


def test_routes(config: Any) -> None:
    """Routes are relayed paths in the file's order."""
    assert config.load(THREE + "routes: {/v1/rerank: local, /v1/tokenize/*: openai}\n").relays == (
        Relay("/v1/rerank", "local"), Relay("/v1/tokenize/*", "openai"))


@pytest.mark.parametrize("path", [
    "/", "/*", "/rerank", "/v1/a/", "/v1/a.b", "/v1/.a", "/v1/a.*", "/v1/.*", "/v1/a%20b", "/v1/a%C3%A9",
    "/v1/a:b@c,d=e", "/v1/a(b)[c]!$&+~'"])
def test_paths_of_routes(config: Any, path: str) -> None:
    """A route may be any path that can be read in one way alone."""
    quoted = path.replace("'", "''")
    assert config.load(THREE + f"routes: {{'{quoted}': openai}}\n").relays == (Relay(path, "openai"),)


@pytest.mark.parametrize(("routes", "said"), [
    ("{v1/x: openai}", "is no path"), ("{'/v1/*/x': openai}", "is no path"), ("{'/v1/x?a=1': openai}", "is no path"),
    ("{/v1/chat/completions: openai}", "the gateway's own"), ("{/health: openai}", "the gateway's own"),
    ("{/v1/x: opena}", "there is no provider opena"),
    ("{'/v1/*': openai, /v1/x: openai}", "is never reached"),
    *((f"{{'{path}': openai}}", "take for another") for path in (
        "//", "/v1//x", "/v1/x//*", "/v1/a/../b", "/v1/./b", "/..", "/v1/a.", "/v1/a./b*", "/v1/../*", "/v1/a;b",
        "/a%2e", "/v1/%2E%2e/b", "/v1/a%2fb", "/v1/a%252fb", "/v1/a%00", "/v1/a%20", "/v1/a%3fb", "/v1/a%ff",
        "/%ef%bc%8f*")),
    *((f"{{'{path}': openai}}", "is no path") for path in (
        "/v1/a b", "/v1/a%", "/v1/a%2", "/v1/a%zz", "/v1/ä", '/v1/"a"', "/v1/a\\b", "/v1/<a>", "/v1/a#b", "/v1/{a}")),
])
def test_wrong_routes(config: Any, routes: str, said: str) -> None:
    """A route that is no path, is taken already, or leads nowhere is an error at its place."""
    found = config.problem(THREE + f"routes: {routes}\n")
    assert found.place.line == 8 and said in found.message


@pytest.mark.parametrize(("provider", "key", "said"), [
    ("{kind: openai, base_url: 'ftp://x'}", "providers.x.base_url", "is not an http"),
    ("{kind: openai, base_url: 'http://'}", "providers.x.base_url", "is not an http"),
    ("{kind: openai, base_url: 'http://u:p@x/v1'}", "providers.x.base_url", "is not an http"),
    ("{kind: openai, base_url: 'http://x/v1#a'}", "providers.x.base_url", "is not an http"),
    ("{kind: openai, base_url: 'http://x/v1?a=b#'}", "providers.x.base_url", "is not an http"),
    ("{kind: openai, base_url: 'http://x/v1?a=b c'}", "providers.x.base_url", "is not an http"),
    ("{kind: openai, base_url: 'http://x/v1?a=b&Subscription-Key=c'}", "providers.x.base_url", "holds a secret: Subs"),
    ("{kind: openai, base_url: 'http://x/v1?access%5Ft%6Fken='}", "providers.x.base_url", "holds a secret: access_t"),
    (LOCAL + ", api_version: '1'}", "providers.x.api_version", "is not a known key"),
    (LOCAL + ", key_header: 'a: b'}", "providers.x.key_header", "is no name of a header"),
    (LOCAL + ", key_header: ''}", "providers.x.key_header", "is no name of a header"),
    (LOCAL + ", key_header: Content-Length}", "providers.x.key_header", "written by the gateway"),
    (LOCAL + ", key_header: X-Request-Id}", "providers.x.key_header", "written by the gateway"),
    (LOCAL + ", key: env:OPENAI_API_KEY, key_header: a, headers: {A: b}}", "providers.x.headers.A", "carries the key"),
    (LOCAL + ", key: env:OPENAI_API_KEY, headers: {Authorization: b}}", "providers.x.headers.Authorization",
     "carries the key"),
    ("{kind: openai, base_url: 'http://x:99999/v1'}", "providers.x.base_url", "is not an http"),
    ("{kind: openai, base_url: \"http://x/v1\\r\\n\"}", "providers.x.base_url", "is not an http"),
    ("{base_url: 'http://127.0.0.1/v1'}", "providers.x.kind", "Missing required field 'providers.x.kind'"),
    ("{kind: openai}", "providers.x.base_url", "Missing required field 'providers.x.base_url'"),
    (LOCAL + ", timeouts: {connect: -1}}", "providers.x.timeouts.connect", "at least 0"),
    (LOCAL + ", timeouts: {connect: 1e6}}", "providers.x.timeouts.connect", "at most 86400"),
    (LOCAL + ", max_connections: 0}", "providers.x.max_connections", "at least 1"),
    (LOCAL + ", headers: {'a b': c}}", "providers.x.headers.a b", "is no name of a header"),
    (LOCAL + ", headers: {Host: c}}", "providers.x.headers.Host", "written by the gateway"),
    (LOCAL + ", headers: {A: c, a: d}}", "providers.x.headers.a", "is there twice"),
    (LOCAL + ", headers: {a: \"b\\r\\nc: d\"}}", "providers.x.headers.a", "a line break"),
    (LOCAL + ", headers: {a: ü}}", "providers.x.headers.a", "beyond ASCII"),
    (LOCAL + ", ca_bundle: none.pem}", "providers.x.ca_bundle", "cannot be read"),
    (LOCAL + ", ca_bundle: edge.yaml}", "providers.x.ca_bundle", "is no PEM file"),
    (LOCAL + ", proxy: 'ftp://x'}", "providers.x.proxy", "is not the URL of a proxy"),
    (LOCAL + ", models: ['a**']}", "providers.x.models[0]", "is no pattern"),
    (LOCAL + ", health_check: models}", "providers.x.health_check", "is no path"),
    (LOCAL + ", health_check: {path: \"/a b\"}}", "providers.x.health_check.path", "is no path"),
    (LOCAL + ", health_check: {interval: 5}}", "providers.x.health_check.path", "Missing required field"),
    (LOCAL + ", health_check: {path: /a, interval: 0}}", "providers.x.health_check.interval", "at least 0.1"),
    (LOCAL + ", health_check: {path: /a, healthy: 0}}", "providers.x.health_check.healthy", "at least 1"),
])
def test_wrong_providers(config: Any, provider: str, key: str, said: str) -> None:
    """A provider that could not be reached or sent to as written is an error at its key."""
    found = config.problem(BASE + f"providers:\n  x: {provider}\n")
    assert (found.place.line, found.key.replace('"', "")) == (5, key) and said in found.message


def test_provider_name(config: Any) -> None:
    """A provider's name holds no slash, as targets are written provider/model."""
    assert config.problem(BASE + f"providers:\n  a/b: {LOCAL}}}\n").message == "is no name for a provider"


@pytest.mark.parametrize(("provider", "said"), [
    ("{kind: openai, base_url: 'http://x.example/v1', key: env:OPENAI_API_KEY}", "unencrypted"),
    ("{kind: openai, base_url: 'https://x.example/v1'}", "has no key"),
    ("{kind: openai, base_url: 'http://127.0.0.1:8000'}", "has no path"),
    ("{kind: anthropic, base_url: 'http://127.0.0.1:8000/v1/'}", "has no /v1"),
    ("{kind: openai, base_url: 'http://[::1]/v1/chat/completions/?a=b'}", "leave /chat/completions out"),
    ("{kind: openai, base_url: 'http://[::1]/v1/responses'}", "leave /responses out"),
    ("{kind: openai, base_url: 'http://[::1]/v1/embeddings'}", "leave /embeddings out"),
    ("{kind: anthropic, base_url: 'http://[::1]/v1/messages'}", "leave /messages out"),
    (LOCAL + "}\n  z: " + LOCAL + "}", "no model and no route leads to it"),
    ("{kind: openai, base_url: 'https://x.example/openai/deployments/a?b=c', key: env:OPENAI_API_KEY}",
     "set key_header: api-key"),
])
def test_warnings(config: Any, provider: str, said: str) -> None:
    """What works but is hardly meant is a warning."""
    [warning] = config.load(BASE + f"providers:\n  x: {provider}\n").warnings
    assert said in warning


def test_base_url(config: Any) -> None:
    """A base URL loses its slash at the end, and Anthropic's its /v1."""
    loaded = config.load(BASE + """\
providers:
  anthropic: {key: env:OPENAI_API_KEY, base_url: "https://a.example/x/v1/"}
  openai: {key: env:OPENAI_API_KEY, base_url: "https://o.example/v1/"}
""")
    assert [provider.base_url for provider in loaded.providers] == ["https://a.example/x", "https://o.example/v1"]


@pytest.mark.parametrize(("kind", "given", "kept"), [
    ("openai", "https://n.example/openai/v1?api-version=1", "https://n.example/openai/v1?api-version=1"),
    ("openai", "http://127.0.0.1:1/v1?a=%20&b", "http://127.0.0.1:1/v1?a=%20&b"),
    ("openai", "https://n.example/v1/?a=b/", "https://n.example/v1?a=b/"),
    ("openai", "https://n.example/v1?", "https://n.example/v1"),
    ("anthropic", "https://n.example/x/v1/?a=b&c=/v1", "https://n.example/x?a=b&c=/v1")])
def test_the_query_of_a_base_url(config: Any, kind: str, given: str, kept: str) -> None:
    """A base URL's query stays as it is, and so does what looks like a path in it."""
    [found] = config.load(BASE + f"providers:\n  x: {{kind: {kind}, base_url: '{given}'}}\n").providers
    assert found.base_url == kept


@pytest.mark.parametrize(("kind", "given", "kept"), [
    ("openai", None, None), ("openai", "Authorization", None), ("openai", "X-Api-Key", "X-Api-Key"),
    ("openai", "api-key", "api-key"), ("anthropic", "x-api-key", None),
    ("anthropic", "authorization", "authorization")])
def test_key_header(config: Any, kind: str, given: str | None, kept: str | None) -> None:
    """The header of the key is the kind's own unless another is named."""
    more = f", key_header: {given}" if given else ""
    [found] = config.load(BASE + f"providers:\n  x: {{kind: {kind}, base_url: 'http://[::1]/v1'{more}}}\n").providers
    assert found.key_header == kept


@pytest.mark.parametrize(("url", "kind", "kept"), [
    ("https://a.openai.azure.com/openai/v1", "openai", "api-key"),
    ("https://A.OpenAI.Azure.com:443/openai/deployments/d?api-version=1", "openai", "api-key"),
    ("https://a.cognitiveservices.azure.com/openai/v1", "openai", "api-key"),
    ("https://a.services.ai.azure.us/openai/v1", "openai", "api-key"),
    ("https://a.services.ai.azure.com/anthropic", "anthropic", None),
    ("https://a.openai.azure.com.example/v1", "openai", None),
    ("https://x.example/a.openai.azure.com/v1", "openai", None),
    ("https://openai.azure.com/v1", "openai", None)])
def test_the_header_of_azures_key(config: Any, url: str, kind: str, kept: str | None) -> None:
    """Azure's hosts take the key in api-key, and no other host does unless told to."""
    text = BASE + f"providers:\n  x: {{kind: {kind}, base_url: '{url}', key: env:OPENAI_API_KEY}}\n"
    [found] = config.load(text).providers
    assert found.key_header == kept


_NAMES = st.text(alphabet="ab", max_size=8)


@given(parts=st.lists(st.text(alphabet="ab", max_size=3), min_size=1, max_size=4), name=_NAMES)
def test_patterns_match_as_regular_expressions_do(parts: list[str], name: str) -> None:
    """A pattern covers exactly the names that a regular expression with .* for * matches."""
    assert covers("*".join(parts), name) == bool(re.fullmatch(".*".join(parts), name))


@given(wide=st.text(alphabet="ab*", max_size=6), narrow=st.text(alphabet="ab*", max_size=6), fill=_NAMES)
def test_a_covered_pattern_matches_nothing_else(wide: str, narrow: str, fill: str) -> None:
    """When one pattern covers another, every name of the other is one of its own."""
    if covers(wide, narrow):
        assert covers(wide, narrow.replace("*", fill))


_PATTERNS = st.lists(st.text("ab*", max_size=6), max_size=8)


@given(patterns=_PATTERNS, name=st.text("ab*", max_size=8))
def test_many_patterns_at_once(patterns: list[str], name: str) -> None:
    """Of many patterns the same ones cover a name, in their order, as when each is asked by itself."""
    alone = [pattern for pattern in dict.fromkeys(patterns) if covers(pattern, name)]
    assert list(dict.fromkeys(Patterns(patterns).covering(name))) == alone
