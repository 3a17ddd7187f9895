"""Every condition that a client can meet, provoked for real, in every contract and on both surfaces."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.gateway import client
from tests.gateway.answers import CONTRACTS
from tests.gateway.check import Facts, check, check_event, check_limits
from tests.gateway.client import KEY, PATHS, SURFACES, ask, asked, post, read, receive
from tests.gateway.conftest import HASTY, key_of
from tests.gateway.meanings import MEANINGS
from tests.gateway.parties import HERE, bearer, key_of_here, key_of_new, sent
from tests.simulator.wire import Wire
from tests.support.gateway import Gateway

BODY_BYTES = 100_000
QUEUE = 1
OWNED = {"store": "edge.db", "workspace": HERE}
Send = Callable[[str], bytes]


@dataclass(frozen=True)
class Case:
    """How a condition is provoked: bytes for a surface, and the facts that the answer may name."""

    condition: str
    send: Send
    facts: Facts = field(default_factory=dict)
    surfaces: tuple[str, ...] = SURFACES
    fields: dict[str, str] = field(default_factory=dict)


def head(line: str, *fields: str, surfaces: tuple[str, ...] = ("openai",)) -> Send:
    """A request that is no more than these lines. Unreadable ones have no path: OpenAI's surface answers them."""
    return lambda surface: "\r\n".join((line.replace("PATH", PATHS[surface]), *fields, "", "")).encode("latin-1")


def body(**changes: Any) -> Send:
    """The surface's main route with another body."""
    return lambda surface: post(surface, **changes)


def raw(data: bytes) -> Send:
    """The surface's main route with these bytes for a body."""
    return lambda surface: client.request(data, path=PATHS[surface])


def key(value: str | None, name: str = "authorization") -> Send:
    """The surface's main route with another key."""
    return lambda surface: post(surface, headers={"authorization": None, name: value})


def fault(spec: str, model: str = "sim-1") -> Send:
    """A request that the provider answers badly."""
    return lambda surface: post(surface, spec=spec, model=model)


def elsewhere(path: dict[str, str], data: Any = None, method: str = "POST", bearer: str = KEY) -> Send:
    """Another path, by surface."""
    return lambda surface: client.request(data, path=path[surface], method=method,
                                          headers={"authorization": f"Bearer {bearer}"})


def chunked(*chunks: bytes) -> Send:
    """The surface's main route with a body in chunks as they stand."""
    return lambda surface: client.request(b"", path=PATHS[surface], headers={
        "content-length": None, "transfer-encoding": "chunked"}) + b"".join(chunks)


FIELDS = ("host: gateway", f"authorization: Bearer {KEY}", "content-type: application/json")
NOWHERE = {"openai": "/v1/embedings", "anthropic": "/v1/messages/nowhere"}
ASKED = {"openai": "/v1/embedings. Did you mean /v1/embeddings?",
         "anthropic": "/v1/messages/nowhere. Did you mean /v1/messages/batches?"}
ONLY_OTHER = {"openai": "only-anthropic", "anthropic": "only-openai"}
ELSEWHERE = {surface: f"{PATHS[surface]} for the model {ONLY_OTHER[surface]}, whose provider speaks another API. Ask "
             f"for it at {PATHS[other]}" for surface, other in (("openai", "anthropic"), ("anthropic", "openai"))}
UNSCOPED = {"openai": "/v1/embeddings", "anthropic": "/v1/messages/count_tokens"}
OURS = {"whose": "This gateway's API key"}
OURS_GROUP = {"whose": "The group of this gateway's API key"}
SCOPES = {"openai": "embeddings", "anthropic": "count_tokens"}
ACCEPTED = "gzip, deflate, zstd"
TEMPERATURES = {"openai": "between 0 and 2", "anthropic": "between 0 and 1"}

# One for each condition, run in every contract. Those that need time, or a gateway of their own, are further down.
CASES = {case.condition: case for case in (
    Case("request_malformed", head("GARBAGE"), surfaces=("openai",)),
    Case("uri_too_long", head(f"GET /v1/{'x' * 9000} HTTP/1.1", *FIELDS), surfaces=("openai",)),
    Case("headers_too_large", head("POST PATH HTTP/1.1", *FIELDS, f"x-much: {'x' * 40000}"), surfaces=("openai",)),
    Case("version_unsupported", head("POST PATH HTTP/2.0", *FIELDS), surfaces=("openai",)),
    Case("body_too_large", head("POST PATH HTTP/1.1", *FIELDS, f"content-length: {BODY_BYTES + 1}"),
         {"limit": BODY_BYTES}),
    Case("body_unreadable", chunked(b"zz\r\n")),
    Case("endpoint_unknown", elsewhere(NOWHERE), {"method": "POST", "path": ASKED}),
    Case("method_not_allowed", elsewhere(PATHS, method="GET"), {"method": "GET"}, fields={"allow": "POST"}),
    Case("content_type", lambda surface: post(surface, headers={"content-type": "text/plain"})),
    Case("content_coding", lambda surface: post(surface, headers={"content-encoding": "br"}), {"reason": "br"},
         fields={"accept-encoding": ACCEPTED}),
    Case("upgrade_refused", lambda surface: client.request(path=PATHS[surface], method="GET", headers={
        "authorization": None, "connection": "upgrade", "upgrade": "websocket"}), fields={"upgrade": "HTTP/1.1"}),
    Case("json_invalid", raw(b'{"model": "sim-1", "messages": [],}')),
    Case("field_missing", body(messages=None), {"field": "messages"}),
    Case("field_type", body(max_tokens="5"), {"field": "max_tokens", "expected": "a number", "got": "string"}),
    Case("field_value", body(temperature=9), {"field": "temperature", "expected": TEMPERATURES, "got": 9}),
    Case("key_missing", key(None)),
    Case("key_malformed", key("Basic eDp5")),
    Case("key_unknown", key("Bearer sk-unknown-0123456789abcdef")),
    Case("key_disabled", key(f"Bearer {key_of('disabled')}"), OURS),
    Case("key_expired", key(f"Bearer {key_of('expired')}"), OURS),
    Case("key_frozen", key(f"Bearer {key_of('frozen')}"), OURS),
    Case("key_revoked", key(f"Bearer {key_of('revoked')}"), OURS),
    Case("key_unavailable", key(f"Bearer {key_of('suspended')}"), {"reason": "suspended", **OURS}),
    Case("ip_denied", key(f"Bearer {key_of('not-here')}"), {"got": "127.0.0.1", **OURS}),
    Case("ip_not_allowed", key(f"Bearer {key_of('elsewhere')}"), {"got": "127.0.0.1", **OURS}),
    Case("time_window_denied", key(f"Bearer {key_of('sundays')}"), {"expected": "10:00 UTC on", **OURS}),
    Case("scope_missing", elsewhere(UNSCOPED, {"model": "sim-1"}, bearer=key_of("chat-only")),
         {"field": SCOPES, **OURS}),
    Case("model_denied", key(f"Bearer {key_of('one-model')}"), {"model": "sim-1", "expected": "sim-allowed", **OURS}),
    Case("model_unknown", body(model="nobody-has-it"), {"model": "nobody-has-it"}),
    Case("model_disabled", body(model="sim-off"), {"model": "sim-off"}),
    Case("model_capability", body(model="sim-chat", tools=[{"name": "x"}]), {"model": "sim-chat", "expected": "tools"}),
    Case("not_implemented", head("POST PATH HTTP/1.1", *FIELDS, "transfer-encoding: gzip, chunked"),
         surfaces=("openai",)),
    Case("provider_auth", fault("status=401")),
    Case("provider_quota", fault("status=402")),
    Case("provider_region", fault('status=403;body={"error":{"code":"unsupported_country_region_territory"}}')),
    Case("provider_rate_limited", fault("status=429;retry-after=7"), {"retry_after": "7"}),
    Case("provider_overloaded", fault("status=529;retry-after=90"),
         {"retry_after": "90", "upstream_status": 529, "upstream_reason": "Overloaded"}),
    Case("provider_unreachable", body(model="closed"), {"reason": "Connection refused"}),
    Case("provider_disconnected", fault("cut=0"), {"reason": "closed the connection without an answer"}),
    Case("provider_error", fault("status=500"),
         {"upstream_status": 500, "upstream_reason": "Internal Server Error"}),
    Case("provider_misconfigured", fault("status=404;body=<html><h1>404 Not Found</h1></html>"),
         {"reason": "404 Not Found"}),
    Case("provider_rejected", fault('status=404;body={"error":{"message":"No such thing: {X}"}}'),
         {"status": 404, "message": "No such thing: {X}"}),
    Case("context_length", fault('status=400;body={"error":{"message":"prompt is too long: {X}"}}'),
         {"status": 400, "message": "prompt is too long: {X}"}),
    Case("provider_response_invalid", fault("malformed=json")),
    Case("provider_cut", fault("cut=1000")),
    Case("internal_error", lambda surface: post(
        surface, model="sim-planted", headers={"authorization": f"Bearer {key_of('planted')}"})),
)}
APART = {"request_timeout", "provider_timeout", "provider_stalled", "rate_limited", "global_rate_limited",
         "model_rate_limited", "concurrency_limited", "model_concurrency_limited", "global_concurrency_limited",
         "gateway_overloaded", "draining", "out_of_memory", "config_invalid", "config_missing_field", "config_value",
         "circuit_open", "keys_limited", "disk_full", "setting_invalid", "resource_missing", "resource_conflict",
         "settings_conflict", "key_rotation_pending", "store_unavailable", "user_banned", "group_denied",
         "key_wrong_workspace", "feature_disabled", "account_rate_limited", "account_concurrency_limited",
         "group_rate_limited", "group_concurrency_limited", "quota_exceeded",
         "balance_insufficient", "key_balance_insufficient", "key_period_limited", "maintenance"}

# Other ways to the same conditions, run in the dialect's own contract.
VARIANTS = {
    "bare carriage return": Case("request_malformed", head("POST PATH HTTP/1.1\rx: y", *FIELDS), surfaces=("openai",)),
    "no host": Case("request_malformed", head("POST PATH HTTP/1.1", *FIELDS[1:]), surfaces=("openai",)),
    "length and chunks": Case("request_malformed", head(
        "POST PATH HTTP/1.1", *FIELDS, "content-length: 3", "transfer-encoding: chunked"), surfaces=("openai",)),
    "too many headers": Case("headers_too_large", head(
        "POST PATH HTTP/1.1", *FIELDS, *(f"x-{i}: 1" for i in range(200))), surfaces=("openai",)),
    "HTTP/3": Case("version_unsupported", head("POST PATH HTTP/3.0", *FIELDS), surfaces=("openai",)),
    "gzip coding": Case("not_implemented", head(
        "POST PATH HTTP/1.1", *FIELDS, "transfer-encoding: gzip, chunked"), surfaces=("openai",)),
    "chunks too large": Case("body_too_large", chunked(b"%x\r\n" % (BODY_BYTES + 1), b"x" * (BODY_BYTES + 1)),
                             {"limit": BODY_BYTES}),
    "chunk without end": Case("body_unreadable", chunked(b"2\r\n{}xx\r\n")),
    "own route, method": Case("method_not_allowed", elsewhere(dict.fromkeys(SURFACES, "/v1/models")),
                              {"method": "POST"}, ("openai",), {"allow": "GET, HEAD"}),
    "delete": Case("method_not_allowed", elsewhere(PATHS, method="DELETE"), {"method": "DELETE"},
                   fields={"allow": "POST"}),
    "path like a route": Case("endpoint_unknown", elsewhere(dict.fromkeys(SURFACES, "/v1/chat")),
                              {"method": "POST", "path": "/v1/chat. Did you mean /v1/chat/completions?"}, ("openai",)),
    "model of the other dialect": Case(
        "not_implemented", lambda surface: post(surface, model=ONLY_OTHER[surface]), {"path": ELSEWHERE}),
    "realtime": Case("not_implemented", elsewhere(dict.fromkeys(SURFACES, "/v1/realtime/sessions"), {}),
                     surfaces=("openai",)),
    "assistants": Case("not_implemented", elsewhere(dict.fromkeys(SURFACES, "/v1/assistants"), {}),
                       {"path": "POST /v1/responses has taken its place"}, ("openai",)),
    "embeddings of a chat model": Case(
        "model_capability", elsewhere({"openai": "/v1/embeddings"}, {"model": "sim-chat", "input": "x"}),
        {"model": "sim-chat", "expected": "embeddings"}, ("openai",)),
    "images of a chat model": Case(
        "model_capability", elsewhere({"openai": "/v1/images/generations"}, {"model": "sim-chat", "prompt": "x"}),
        {"model": "sim-chat", "expected": "images"}, ("openai",)),
    "JSON of a chat model": Case("model_capability", body(model="sim-chat", response_format={"type": "json_object"}),
                                 {"model": "sim-chat", "expected": "json"}, ("openai",)),
    "images to a chat model": Case(
        "model_capability", body(model="sim-chat", messages=[{"role": "user", "content": [{"type": "image"}]}]),
        {"model": "sim-chat", "expected": "vision"}),
    "no content type": Case("content_type", lambda surface: post(surface, headers={"content-type": None})),
    "form": Case("content_type", lambda surface: post(
        surface, headers={"content-type": "application/x-www-form-urlencoded"})),
    **{f"JSON: {name}": Case("json_invalid", raw(data)) for name, data in {
        "empty": b"", "unquoted": b"{model: 1}", "truncated": b'{"model": "sim-1", "messages": [', "no UTF-8":
        b'{"model": "sim-1", "x": "\xff"}', "closed twice": b'{"model": "sim-1"}}', "two": b'{"model": "sim-1"} {}',
        "NaN": b'{"model": "sim-1", "x": NaN}', "single quotes": b"{'model': 'sim-1'}", "comment": b"{/* */}",
        "array": b"[]", "control": b'{"model": "a\nb"}', "surrogate": b'{"model": "\\ud800", "messages": []}',
        "nested, bad": b'{"model": "sim-1", "x": {"y": [1, {"z": tru}]}}'}.items()},
    "no model": Case("field_missing", body(model=None), {"field": "model"}),
    "empty model": Case("field_missing", body(model=""), {"field": "model"}),
    "null": Case("field_missing", lambda surface: client.request(
        {**asked(surface), "messages": None}, path=PATHS[surface]), {"field": "messages"}),
    "no max_tokens": Case("field_missing", body(max_tokens=None), {"field": "max_tokens"}, ("anthropic",)),
    "no input": Case("field_missing", elsewhere({"openai": "/v1/embeddings"}, {"model": "sim-1"}),
                     {"field": "input"}, ("openai",)),
    "messages as text": Case("field_type", body(messages="hello"),
                             {"field": "messages", "expected": "an array", "got": "string"}),
    "stream as number": Case("field_type", body(stream=1),
                             {"field": "stream", "expected": "a boolean", "got": "number"}),
    "no tokens": Case("field_value", body(max_tokens=0), {"field": "max_tokens", "expected": "at least 1", "got": 0}),
    "less than none": Case("field_value", body(temperature=-0.5),
                           {"field": "temperature", "expected": TEMPERATURES, "got": -0.5}),
    "no Bearer": Case("key_malformed", key(KEY)),
    "Bearer alone": Case("key_malformed", key("Bearer")),
    "x-api-key": Case("key_malformed", key(KEY, "x-api-key"), surfaces=("openai",)),
    "x-api-key, unknown": Case("key_unknown", key("sk-unknown-0123456789abcdef", "x-api-key"), surfaces=("anthropic",)),
    "provider 403": Case("provider_auth", fault("status=403")),
    "limit in milliseconds": Case("provider_rate_limited", fault("status=429;retry-after=ms:1500"),
                                  {"retry_after": "2"}),
    "limit, far off": Case("provider_rate_limited", fault("status=429;retry-after=3600"), {"retry_after": "3600"}),
    "limit, unsaid": Case("provider_rate_limited", fault("status=429"), {"retry_after": "1"}),
    "provider 503": Case("provider_overloaded", fault("status=503"), surfaces=("openai",)),     # it says so in words
    "provider 504": Case("provider_error", fault("status=504"),
                         {"upstream_status": 504, "upstream_reason": "Gateway Timeout"}),
    "error in 200": Case("provider_error", fault("error-in-200"),
                         {"upstream_status": 500, "upstream_reason": "Internal Server Error"}),
    "provider 408": Case("provider_timeout", fault("status=408"),
                         {"whose": "The provider gave up: 408 Request Timeout"}),
    **{f"provider {status}": Case("provider_rejected", fault(
        f'status={status};body={{"error":{{"message":"no"}}}}'), {"status": status, "message": "no"})
        for status in (400, 409, 413, 422)},
    "closed at once": Case("provider_disconnected", fault("cut=0")),
    "reset at once": Case("provider_disconnected", fault("reset=0"), {
        "reason": "reset the connection without an answer"}),
    **{f"malformed {part}": Case("provider_response_invalid", fault(f"malformed={part}"))
       for part in ("head", "chunk", "length")},
    "head cut": Case("provider_response_invalid", fault("cut=100")),
    "no body": Case("provider_response_invalid", fault("empty")),
    "no JSON": Case("provider_response_invalid", fault("body=<html>Bad Gateway</html>")),
    "reset in the body": Case("provider_cut", fault("reset=1000")),
}


def of(surface: str, facts: Facts) -> Facts:
    """The facts for one surface."""
    return {name: value[surface] if isinstance(value, dict) else value for name, value in facts.items()}


def hold(gateway: Gateway, contract: str, surface: str, case: Case) -> None:
    """Provokes it, and looks at the answer."""
    answer = ask(gateway.port, case.send(surface))
    check(answer, contract, surface, case.condition, of(surface, case.facts))
    assert case.fields.items() <= answer.fields.items()


def cases(found: dict[str, Case]) -> list[Any]:
    """A parameter for each case and surface."""
    return [pytest.param(case, surface, id=f"{name}-{surface}") for name, case in found.items()
            for surface in case.surfaces]


@pytest.fixture
def speaking(serving: Callable[..., Gateway]) -> Callable[[str], Gateway]:
    """The gateway that speaks a contract on both surfaces."""
    return lambda contract: serving(contract=contract, limits={"body_bytes": BODY_BYTES}, queue={"queue_size": QUEUE},
                                    **OWNED)


def test_nothing_is_forgotten() -> None:
    """Every condition of every contract is provoked by some test of this file."""
    for contract, rows in CONTRACTS.items():
        assert {name.partition("/")[0] for name in rows} == set(MEANINGS) == set(CASES) | APART, contract


@pytest.mark.parametrize("contract", CONTRACTS)
@pytest.mark.parametrize(("case", "surface"), cases(CASES))
def test_conditions(speaking: Callable[[str], Gateway], contract: str, case: Case, surface: str) -> None:
    """Each condition is answered as its contract has it: status, fields, envelope, type, code, param, message."""
    hold(speaking(contract), contract, surface, case)


def test_a_contract_for_each_surface(serving: Callable[..., Gateway]) -> None:
    """The two surfaces can speak different contracts at once."""
    gateway = serving(contract={"openai": "tokenpak", "anthropic": "generic"})
    for surface, contract in (("openai", "tokenpak"), ("anthropic", "generic")):
        for name in ("key_unknown", "model_unknown", "provider_error"):
            hold(gateway, contract, surface, CASES[name])


@pytest.mark.parametrize(("case", "surface"), cases(VARIANTS))
def test_variants(speaking: Callable[[str], Gateway], case: Case, surface: str) -> None:
    """A condition is the same whichever way it comes about."""
    hold(speaking(surface), surface, surface, case)


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("contract", CONTRACTS)
def test_limit_of_a_key(speaking: Callable[[str], Gateway], contract: str, surface: str) -> None:
    """A key over its limit is told how long its bucket needs, in the field, the message and Reset alike."""
    headers = {"authorization": f"Bearer {key_of(f'limited-{surface}')}"}
    for _ in range(2):
        answer = ask(speaking(contract).port, post(surface, headers=headers))
    check(answer, contract, surface, "rate_limited")
    assert 1 <= int(answer.fields["retry-after"]) <= 50
    assert answer.fields["x-ratelimit-limit"] == "1"


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("contract", CONTRACTS)
def test_who_stands_behind_a_key(speaking: Callable[[str], Gateway], contract: str, surface: str) -> None:
    """What the user, group, account and workspace of a key refuse is answered as the contract has it."""
    gateway = speaking(contract)
    minute = {"rate_limit": {"requests_per_minute": 1}}
    off = {"features": {"chat": False, "messages": False}}
    for condition, times, facts, made in (
            ("user_banned", 1, OURS, lambda: key_of_new(gateway, "user", "ban")),
            ("group_denied", 1, {"model": "sim-1", "expected": "sim-9", **OURS_GROUP},
             lambda: key_of_new(gateway, "group", models=["sim-9"])),
            ("key_wrong_workspace", 1, OURS, lambda: key_of_new(gateway, "workspace")),
            ("feature_disabled", 1, {"field": {"openai": "chat", "anthropic": "messages"}[surface]},
             lambda: key_of_here(gateway, **off)),
            ("account_rate_limited", 2, {}, lambda: key_of_new(gateway, "account", **minute)),
            ("group_rate_limited", 2, {}, lambda: key_of_new(gateway, "group", **minute)),
            ("quota_exceeded", 2, {}, lambda: key_of_here(gateway, quota={"requests": 1}))):
        secret = made()
        for _ in range(times):
            answer = ask(gateway.port, sent(secret, surface))
        check(answer, contract, surface, condition, facts)
    single = {"rate_limit": {"concurrent_requests": 1}}
    for kind in ("account", "group"):
        secret = key_of_new(gateway, kind, **single)
        with Wire(gateway.port) as taker:
            receive(taker.send(post(surface, headers=bearer(secret), stream=True, spec="stall=1")), b"data: ")
            check(ask(gateway.port, sent(secret, surface)), contract, surface, f"{kind}_concurrency_limited")


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("contract", CONTRACTS)
def test_full_queue(speaking: Callable[[str], Gateway], contract: str, surface: str) -> None:
    """A request that finds the provider's connections taken and the queue full is refused as overload."""
    gateway = speaking(contract)
    provider = {"openai": "narrow", "anthropic": "narrow-a"}[surface]
    with Wire(gateway.port) as taker, Wire(gateway.port) as waiter:
        taker.send(post(surface, model="narrow", stream=True, spec="stall=4"))
        receive(taker, b"data: ")
        waiter.send(post(surface, model="narrow"))
        gateway.wait(lambda: gateway.metric("edge_requests_in_flight", provider=provider) == 2)
        answer = ask(gateway.port, post(surface, model="narrow"))
        check(answer, contract, surface, "gateway_overloaded")
        taker.socket.close()
        assert read(waiter.answer()).status == 200


@pytest.mark.parametrize("contract", CONTRACTS)
def test_too_many_connections(start: Callable[..., Gateway], contract: str) -> None:
    """A connection over the limit is refused as overload before it has said anything, and the others go on."""
    with start(contract=contract, limits={"connections": 1}) as gateway, Wire(gateway.port) as kept:
        assert read(kept.send(post("openai")).answer()).status == 200
        with Wire(gateway.port) as refused:
            check(read(refused.answer()), contract, "openai", "gateway_overloaded", {"admitted": False})
            assert refused.socket.recv(1) == b""
        assert read(kept.send(post("openai")).answer()).status == 200


@pytest.mark.parametrize("contract", CONTRACTS)
def test_what_takes_time(start: Callable[..., Gateway], contract: str) -> None:
    """Requests that never arrive whole, and providers that never answer or stop in the middle, end in contract."""
    brief = "brief-1"
    hasty = {"timeout": f"{HASTY:g}", "whose": f"The provider did not answer within {HASTY:g} s"}
    cases = [("openai", "request_timeout", b"POST /v1/chat/completions HTTP/1.1\r\nhost: gat", {})]
    for surface in SURFACES:
        whole = post(surface)
        cases += [(surface, "request_timeout", whole[:-1], {}),
                  (surface, "provider_timeout", post(surface, model="hasty-1", stream=True, spec="hang"), hasty),
                  (surface, "provider_timeout", post(surface, model=brief, spec="hang"), hasty),
                  (surface, "provider_stalled", post(surface, model="hasty-1", spec="stall=0"), {})]
    limits = {"head_timeout": HASTY, "body_timeout": HASTY}
    with start(contract=contract, limits=limits) as gateway, ExitStack() as stack:
        wires = [stack.enter_context(Wire(gateway.port)).send(data) for _, _, data, _ in cases]
        for wire, (surface, condition, _, facts) in zip(wires, cases, strict=True):
            answer = read(wire.answer())
            check(answer, contract, surface, condition, facts)
            assert answer.fields.get("connection") == ("close" if condition == "request_timeout" else None)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_what_needs_settings(start: Callable[..., Gateway], contract: str) -> None:
    """A masked provider's limit, x-api-key where only Bearer is taken, and the gateway's own limit are in contract."""
    masked = "provider_rate_limited/mask" if "provider_rate_limited/mask" in CONTRACTS[contract] \
        else "provider_rate_limited"
    with start(contract=contract, provider_rate_limit="mask", bearer_only=True,
               rate_limit={"requests_per_second": 0.02, "burst_size": 2}) as gateway:
        for surface in SURFACES:
            check(ask(gateway.port, key(KEY, "x-api-key")(surface)), contract, surface, "key_malformed")
            answer = ask(gateway.port, fault("status=429;retry-after=7")(surface))
            check(answer, contract, surface, masked, {"retry_after": "7"})
        for surface in SURFACES:
            answer = ask(gateway.port, post(surface))
            check(answer, contract, surface, "global_rate_limited")
            assert answer.fields["x-ratelimit-limit"] == "2"


ADMIN: dict[str, Callable[[Any], Any]] = {"tokenfactory": lambda body: {"code": body["code"], "message": body["error"]}}


@pytest.mark.parametrize("contract", CONTRACTS)
def test_broken_configuration(start: Callable[..., Gateway], contract: str) -> None:
    """A reload of a broken file is answered in contract with the place, and what runs goes on."""
    with start(contract=contract) as gateway:
        whole = gateway.file.read_bytes()
        for text, condition, facts in ((b"port: 0\nlisten_addr: a: b\n", "config_invalid", {"line": 2}),
                                       (whole.replace(b'"providers"', b'"providerz"'), "config_missing_field",
                                        {"field": "providers"}),
                                       (whole.replace(b'{', b'{"keepalive": -1,', 1), "config_value",
                                        {"reason": "keepalive: must be at least 0, got -1"})):
            gateway.file.write_bytes(text)
            answer = gateway.reload()
            row = CONTRACTS[contract][condition]
            assert (answer.status_code, answer.headers["x-edge-condition"]) == (500, condition)
            assert answer.headers["x-should-retry"] == "false"
            error = ADMIN.get(contract, lambda body: body["error"])(answer.json())
            assert error.get("code", row.code) == row.code
            if row.message:
                assert error["message"] == row.message.format(**facts)
            assert ask(gateway.port, post("openai")).status == 200


@pytest.mark.parametrize("contract", CONTRACTS)
def test_out_of_memory(start: Callable[..., Gateway], contract: str) -> None:
    """A request for whose body there is no memory is refused in contract, and the worker lives on."""
    with start(contract=contract, limits={"body_bytes": 1 << 40, "memory_bytes": 64 << 20}) as gateway:
        worker = gateway.children()[1]
        for surface in SURFACES:
            huge = head("POST PATH HTTP/1.1", *FIELDS, f"content-length: {1 << 30}")(surface)
            check(ask(gateway.port, huge), contract, surface, "out_of_memory")
        assert ask(gateway.port, post("openai")).status == 200
        assert gateway.children()[1] == worker


@pytest.mark.parametrize("contract", CONTRACTS)
def test_draining(start: Callable[..., Gateway], contract: str) -> None:
    """While it shuts down, requests on kept connections are refused in contract and a running stream goes on."""
    with start(contract=contract) as gateway, ExitStack() as stack:
        running, probe, *kept = [stack.enter_context(Wire(gateway.port)) for _ in range(4)]
        for wire in (probe, *kept):
            assert read(wire.send(client.request(path="/livez", method="GET")).answer()).status == 200
        receive(running.send(post("openai", stream=True, spec="stall=2")), b"data: ")
        gateway.process.send_signal(signal.SIGTERM)
        ready = client.request(path="/readyz", method="GET")
        gateway.wait(lambda: read(probe.send(ready).answer()).status == 503)
        for surface, wire in zip(SURFACES, kept, strict=True):
            answer = read(wire.send(post(surface)).answer())
            check(answer, contract, surface, "draining")
            assert answer.fields["connection"] == "close"
        running.socket.close()
        assert gateway.process.wait(10) == 0


# What the simulator says itself, which gives no code; the contract's shape and code stay.
OWN = {"openai": ("server_error", "The server had an error while processing your request. Sorry about that!"),
       "anthropic": ("api_error", "Internal server error")}
BROKEN = {"provider_error": "error-event=4,server", "provider_cut": "tokens=99;cut=4000", "provider_stalled": "stall=4",
          "provider_response_invalid": "malformed=chunk"}


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("contract", CONTRACTS)
def test_streams(speaking: Callable[[str], Gateway], contract: str, surface: str) -> None:
    """A stream that breaks ends with the error event of its contract, after which there is nothing, and in the
    provider's own words where there are some."""
    gateway = speaking(contract)
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(gateway.port)) for _ in BROKEN]
        for wire, spec in zip(wires, BROKEN.values(), strict=True):
            wire.send(post(surface, model="hasty-1", stream=True, spec=spec))
        for wire, condition in zip(wires, BROKEN, strict=True):
            answer = read(wire.answer())
            assert (answer.status, answer.fields["content-type"]) == (200, "text/event-stream; charset=utf-8")
            check_limits(answer.fields, condition)
            *events, last = [event + b"\n\n" for event in answer.body.split(b"\n\n")[:-1]]
            assert b"".join((*events, last)) == answer.body
            assert events and not any(b"[DONE]" in event or b"message_stop" in event for event in events)
            if condition == "provider_error":
                error = json.loads(last.removeprefix(b"event: error\ndata: "))["error"]
                assert (error["type"], error["message"]) == OWN[surface]
                if "code" in error:
                    row = CONTRACTS[contract][condition]
                    assert error["code"] == (str(row.status) if row.code == "?" else row.code)
                continue
            check_event(last, contract, surface, condition, {"id": answer.fields["x-request-id"]})
