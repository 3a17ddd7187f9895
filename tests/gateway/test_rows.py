"""The five systems' error tables, row by row: what a row names is made to happen, and the answer is held to the row.

Each row is asked of two gateways: one with `models` in its configuration, and one that has providers alone. Rows about
tasks and response caches have no condition here. What the rows do not fix, `answers` does.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

import httpx2 as httpx
import pytest

from tests.gateway import client, rows_page
from tests.gateway.answers import CONTRACTS
from tests.gateway.check import Facts, check, snake
from tests.gateway.client import Answer, ask, post, read, receive
from tests.gateway.conftest import HASTY, key_of
from tests.gateway.operators import maintained, short_of_disk, short_of_memory
from tests.gateway.parties import bearer, key_of_here, key_of_new, sent
from tests.gateway.test_contracts import (
    BODY_BYTES,
    CASES,
    FIELDS,
    OWNED,
    QUEUE,
    VARIANTS,
    Case,
    fault,
    head,
    of,
)
from tests.simulator.wire import Wire
from tests.support.gateway import PLAIN, Gateway

MODELS = {"models": {}, "providers alone": {"models": None}}
LATE_SECONDS = 1.0      # of the event loop: by so much that nothing of low priority is served
NO_KEY = {"code": "401", "type": "invalid_api_key", "message": "Invalid API key or token provided"}
SLOW = {"code": "429", "type": "rate_limit_error", "message": "Rate limit exceeded. Please slow down your requests"}
GONE = "Authentication failed. Key may be expired or revoked"
INVALID = {"type": "invalid_request_error"}
WAIT = ("retry-after",)
LIMIT = ("retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")

# What leads to a row, by name: requests of test_contracts, those of OWN, and what takes more than a request, in DEEDS.
JSON = tuple(name for name in VARIANTS if name.startswith("JSON: "))
MISSING, TYPES = ("field_missing", "no model", "null", "no input"), ("field_type", "messages as text")
VALUES = ("field_value", "no tokens", "less than none")
MALFORMED = ("key_malformed", "no Bearer", "Bearer alone", "x-api-key")
NOWHERE = ("endpoint_unknown", "path like a route")
REFUSED = ("provider_auth", "provider 403")
LIMITED = ("provider_rate_limited", "limit in milliseconds", "limit, unsaid")
SICK = "No provider of the model {model} is healthy. Retry after {retry_after} s"
LIMITS_REACHED = ("limit of a key", "global limit", "model limit", "too many at once", "too many of a key",
                  "too many for a model",
                  "limit of a group", "too many of an account", "too many of a group")
UNREACHABLE = ("provider_unreachable", "provider_disconnected", "reset at once")
FAILED = ("provider_error", "provider 504", "error in 200")
GARBLED = ("provider_response_invalid", "malformed head", "malformed chunk", "malformed length", "no body", "no JSON")
LATE = ("slow", "slow stream")
INCAPABLE = ("embeddings of a chat model", "images of a chat model", "JSON of a chat model", "images to a chat model")
NOT_DONE = ("realtime", "assistants", "model of the other dialect")
OWN = {
    "model, says the provider": Case("model_unknown", fault("error=model"), {"model": "sim-1", "admitted": True}),
    "slow": Case("provider_timeout", fault("hang", "brief-1"), {"timeout": f"{HASTY:g}"}),
    "slow stream": Case("provider_timeout", lambda surface: post(surface, model="hasty-1", stream=True, spec="hang"),
                        {"timeout": f"{HASTY:g}"}),
}
NO_MODEL = ("model_unknown", "model, says the provider")


class Row(NamedTuple):
    """A row: what leads to it, its status, what its error object says, and the fields of its head."""

    id: str
    ways: tuple[str, ...]
    status: int
    says: dict[str, Any]
    fields: tuple[str, ...] = ()


def pak(code: str | None = None, message: str | None = None) -> dict[str, Any]:
    """What TokenPak fixes of an error object, besides its type."""
    return {name: text for name, text in (("code", code), ("message", message)) if text}


ROWS = (
    Row("tokenpak/auth-missing", ("key_missing",), 401, pak("AUTH_001", "Invalid or missing authentication")),
    Row("tokenpak/auth-format", MALFORMED, 401,
        pak("AUTH_002", "Invalid authentication format. Expected: Bearer <token>")),
    Row("tokenpak/auth-revoked", ("key_unknown", "key_disabled", "key_revoked", "key_expired"), 401,
        pak("AUTH_003", GONE)),
    Row("tokenpak/forbidden", ("scope_missing",), 403, {}),
    Row("tokenpak/not-found", NOWHERE, 404, {}),
    Row("tokenpak/json", ("json_invalid", *JSON), 400, pak("VALIDATION_001", "Invalid JSON payload. Check syntax.")),
    Row("tokenpak/field-missing", MISSING, 400, pak("VALIDATION_002", "Missing required field: {field}")),
    Row("tokenpak/field-type", TYPES, 400, pak("VALIDATION_003", "Field '{field}' must be {expected}, got {got}")),
    Row("tokenpak/content-type", ("content_type", "no content type", "form"), 400, {}),
    Row("tokenpak/headers-large", ("headers_too_large", "too many headers"), 431, {}),
    Row("tokenpak/provider-auth", REFUSED, 502, pak("PROVIDER_001", "Provider rejected request: Invalid API key")),
    Row("tokenpak/provider-rate", ("masked",), 502, pak("PROVIDER_002", "Provider rate limit exceeded"), WAIT),
    Row("tokenpak/provider-rate-through", LIMITED, 429,
        pak("RATELIMIT_002", "Provider rate limit exceeded. Retry-After: {retry_after}"), WAIT),
    Row("tokenpak/provider-unreachable", UNREACHABLE, 502, pak("PROVIDER_003", "Unable to reach provider: {reason}")),
    Row("tokenpak/provider-error", FAILED, 502,
        pak("PROVIDER_004", "Provider error: {upstream_status} {upstream_reason}")),
    Row("tokenpak/limited", LIMITS_REACHED, 429,
        pak("RATELIMIT_001", "Rate limit exceeded. Retry-After: {retry_after}"), LIMIT),
    Row("tokenpak/memory", ("memory",), 500, pak("RESOURCE_001", "Cannot allocate memory")),
    Row("tokenpak/timeout", LATE, 504, pak("TIMEOUT_001", "Request to upstream took too long (>{timeout}s)")),
    Row("tokenpak/overloaded", ("full queue",), 503, {}, WAIT),
    Row("tokenpak/draining", ("draining",), 503, {}, WAIT),
    Row("tokenpak/internal", ("internal_error",), 500, {}),
    Row("tokenfactory/json", ("json_invalid", *JSON), 400, {}),
    Row("tokenfactory/missing", MISSING, 400, {"param": "{field}"}),
    Row("tokenfactory/auth-missing", ("key_missing",), 401, {}),
    Row("tokenfactory/auth-malformed", MALFORMED, 401, {}),
    Row("tokenfactory/auth-unknown", ("key_unknown",), 401, {}),
    Row("tokenfactory/revoked", ("key_revoked",), 403, {}),
    Row("tokenfactory/auth-workspace", ("other workspace",), 401, {}),
    Row("tokenfactory/feature", ("feature", "scope_missing"), 403, {}),
    Row("tokenfactory/model", NO_MODEL, 404, {"param": "model"}),
    Row("tokenfactory/endpoint", NOWHERE, 404, {}),
    Row("tokenfactory/slow-client", ("slow client",), 408, {}),
    Row("tokenfactory/slow-worker", LATE, 408, {}, WAIT),
    Row("tokenfactory/value", VALUES, 422, {"param": "{field}"}),
    Row("tokenfactory/rate", LIMITS_REACHED, 429, {}, WAIT),
    Row("tokenfactory/quota", ("quota",), 429, {}, WAIT),
    Row("tokenfactory/internal", ("internal_error",), 500, {}),
    Row("tokenfactory/upstream", ("provider_unreachable", *FAILED), 502, {}),
    Row("tokenfactory/no-healthy", ("open circuit",), 503, {"param": "model", "message": SICK}, WAIT),
    Row("tokenbay/params", ("json_invalid", "body_unreadable", *MISSING, *TYPES, *JSON), 400, {}),
    Row("tokenbay/token", ("key_missing", "key_unknown"), 401, {}),
    Row("tokenbay/banned", ("banned",), 403, {}),
    Row("tokenbay/group", ("group", "providers of a group"), 403, {}),
    Row("tokenbay/key-disabled", ("key_disabled",), 403, {"code": "api_key_disabled"}),
    Row("tokenbay/key-unavailable", ("key_unavailable",), 403, {"code": "api_key_unavailable"}),
    Row("tokenbay/ip-black", ("ip_denied", "address of an account"), 403, {"code": "ip_denied_by_blacklist"}),
    Row("tokenbay/account-rate", ("limit of an account",), 429, {"code": "account_rate_limited"}, WAIT),
    Row("tokenbay/ip-white", ("ip_not_allowed",), 403, {"code": "ip_not_in_whitelist"}),
    Row("tokenbay/time-window", ("time_window_denied",), 403, {"code": "access_rule_time_window_denied"}),
    Row("tokenbay/key-expired", ("key_expired",), 403, {"code": "api_key_expired"}),
    Row("tokenbay/account-points", ("spent account",), 403, {"code": "account_point_insufficient"}),
    Row("tokenbay/key-points", ("spent key",), 403, {"code": "api_key_point_insufficient"}),
    Row("tokenbay/key-period", ("spent period",), 429, {"code": "api_key_point_limit_exceeded"}, WAIT),
    Row("tokenbay/model-disabled", ("model_disabled",), 403, {"code": "model_disabled"}),
    Row("tokenbay/capability", ("model_capability", *INCAPABLE), 403, {"code": "model_capability_not_supported"}),
    Row("tokenbay/key-model", ("model_denied",), 403, {"code": "api_key_model_not_allowed"}),
    Row("tokenbay/model-unknown", NO_MODEL, 404, {"code": "model_not_found"}),
    Row("tokenbay/route", NOWHERE, 404, {}),
    Row("tokenbay/body-large", ("body_too_large", "chunks too large"), 413, {}),
    Row("tokenbay/model-rate", ("model limit",), 429, {}, WAIT),
    Row("tokenbay/global-rate", ("global limit",), 429, {}, WAIT),
    Row("tokenbay/saturated", (*LIMITED, "provider_overloaded", "provider 503"), 429, {}, WAIT),
    Row("tokenbay/invoke", (*UNREACHABLE, *FAILED), 500, {}),
    Row("tokenbay/parse", GARBLED, 500, {}),
    Row("tokenbay/not-implemented", ("not_implemented", "gzip coding", *NOT_DONE), 501, {}),
    Row("tokenbay/no-channel", ("open circuit",), 503, {}, WAIT),
    Row("tokenbay/no-channel-key", ("refused key", "limited key"), 503, {}),
    Row("tokenbay/overload", ("memory",), 503, {"message": "The gateway is overloaded: memory"}, WAIT),
    Row("tokenbay/overload", ("short of memory",), 503, {}, WAIT),
    Row("tokenbay/overload", ("short of disk",), 503, {}, WAIT),
    Row("tokenbay/overload", ("late",), 503, {"message": "The gateway is overloaded: CPU (the event loop is late)"},
        WAIT),
    Row("tokenbay/channel-timeout", LATE, 504, {}),
    Row("token360/key", ("key_missing", "key_unknown", "key_expired", *MALFORMED), 401, NO_KEY),
    Row("token360/params", (*MISSING, *TYPES, *VALUES), 400, {**INVALID, "param": "{field}"}),
    Row("token360/params", ("json_invalid", *JSON), 400, {**INVALID, "param": None}),
    Row("token360/not-found", NOWHERE, 404, {"type": "not_found_error", "code": "404"}),
    Row("token360/model", NO_MODEL, 404, {"type": "model_not_found", "param": "model", "code": "404",
                                          "message": "The requested model does not exist"}),
    Row("token360/frozen", ("key_frozen",), 403, {"type": "api_key_frozen"}),
    Row("token360/model-access", ("model_denied", "scope_missing"), 403, {"type": "model_access_denied"}),
    Row("token360/balance", ("spent account", "spent key"), 402, {"type": "insufficient_balance"}),
    Row("token360/rate", (*LIMITS_REACHED, "limit of an account", "quota"), 429, SLOW, WAIT),
    Row("token360/internal", ("internal_error",), 500,
        {"type": "api_error", "code": "500", "message": "An internal error occurred"}),
    Row("token360/upstream", (*REFUSED, *LIMITED, *UNREACHABLE, *FAILED, *GARBLED, *LATE), 502, {"type": "api_error"}),
    Row("token360/overloaded", ("full queue", "open circuit", "draining", "maintained"), 503, {"type": "api_error"},
        WAIT),
    Row("generic/400", ("json_invalid", *MISSING, *TYPES, *VALUES), 400, {}),
    Row("generic/401", ("key_missing", "key_unknown", *MALFORMED), 401, {}),
    Row("generic/403", ("scope_missing", "model_denied"), 403, {}),
    Row("generic/429", LIMITS_REACHED, 429, {}, WAIT),
    Row("generic/500", ("internal_error",), 500, {}),
    Row("generic/502", (*REFUSED, *LIMITED, *UNREACHABLE, *FAILED, *GARBLED), 502, {}),
    Row("generic/503", ("full queue", "draining", "maintained"), 503, {}, WAIT),
    Row("generic/504", LATE, 504, {}),
)
# Without models every name is the provider's, and nothing has a price.
NEEDS_MODELS = {"model_unknown", "model limit", "too many for a model", "spent account", "spent key", "spent period",
                "model of the other dialect"}
Asked = tuple[Answer, str, Facts]
Make = Callable[..., Gateway]


def limit_of_a_key(start: Make, serving: Make, **settings: Any) -> Asked:
    """The second request of a key that has one."""
    port = usual(serving, **settings).port
    for _ in range(2):
        answer = ask(port, post("openai", headers={"authorization": f"Bearer {key_of('limited-openai')}"}))
    return answer, "rate_limited", {}


def global_limit(start: Make, serving: Make, **settings: Any) -> Asked:
    """The second request at a gateway that takes one."""
    with start(rate_limit={"requests_per_second": 0.02, "burst_size": 1}, **settings) as gateway:
        assert ask(gateway.port, post("openai")).status == 200
        return ask(gateway.port, post("openai")), "global_rate_limited", {}


def model_limit(start: Make, serving: Make, **settings: Any) -> Asked:
    """The second request for a model that takes one."""
    with start(model_limits={"sim-*": {"requests_per_minute": 1}}, **settings) as gateway:
        assert ask(gateway.port, post("openai")).status == 200
        return ask(gateway.port, post("openai")), "model_rate_limited", {}


def crowded(gateway: Gateway, key: str = client.KEY) -> Answer:
    """A second request where there may be one at once."""
    with Wire(gateway.port) as wire:
        headers = {"authorization": f"Bearer {key}"}
        receive(wire.send(post("openai", headers=headers, stream=True, spec="stall=1")), b"data: ")
        return ask(gateway.port, post("openai", headers=headers))


def too_many_at_once(start: Make, serving: Make, **settings: Any) -> Asked:
    """A gateway that has room for one."""
    with start(rate_limit={"requests_per_second": 1000, "concurrent_requests": 1}, **settings) as gateway:
        return crowded(gateway), "global_concurrency_limited", {}


def too_many_of_a_key(start: Make, serving: Make, **settings: Any) -> Asked:
    """A key that may have one."""
    return crowded(usual(serving, **settings), key_of("single")), "concurrency_limited", {}


def too_many_for_a_model(start: Make, serving: Make, **settings: Any) -> Asked:
    """A model for which there may be one."""
    with start(model_limits={"sim-*": {"concurrent_requests": 1}}, **settings) as gateway:
        return crowded(gateway), "model_concurrency_limited", {}


def banned(start: Make, serving: Make, **settings: Any) -> Asked:
    """A key of a user who is banned."""
    gateway = usual(serving, **settings)
    return ask(gateway.port, sent(key_of_new(gateway, "user", "ban"), "openai")), "user_banned", {}


def group(start: Make, serving: Make, **settings: Any) -> Asked:
    """A model that the key's group may not use."""
    gateway = usual(serving, **settings)
    secret = key_of_new(gateway, "group", models=["sim-9"])
    return ask(gateway.port, sent(secret, "openai")), "group_denied", {"model": "sim-1", "expected": "sim-9"}


def providers_of_a_group(start: Make, serving: Make, **settings: Any) -> Asked:
    """A model that no provider serves that the key's group may use."""
    gateway = usual(serving, **settings)
    secret = key_of_new(gateway, "group", providers=["closed"])
    return ask(gateway.port, sent(secret, "openai")), "group_denied", {"model": "sim-1", "expected": "closed"}


def address_of_an_account(start: Make, serving: Make, **settings: Any) -> Asked:
    """An address that the key's account denies."""
    gateway = usual(serving, **settings)
    secret = key_of_new(gateway, "account", denied_addresses=["127.0.0.0/8"])
    return ask(gateway.port, sent(secret, "openai")), "ip_denied", {"got": "127.0.0.1"}


def limit_of_an_account(start: Make, serving: Make, **settings: Any) -> Asked:
    """The second request of an account that has one."""
    gateway = usual(serving, **settings)
    secret = key_of_new(gateway, "account", rate_limit={"requests_per_minute": 1})
    assert ask(gateway.port, sent(secret, "openai")).status == 200
    return ask(gateway.port, sent(secret, "openai")), "account_rate_limited", {}


def limit_of_a_group(start: Make, serving: Make, **settings: Any) -> Asked:
    """The second request of a group that has one."""
    gateway = usual(serving, **settings)
    secret = key_of_new(gateway, "group", rate_limit={"requests_per_minute": 1})
    assert ask(gateway.port, sent(secret, "openai")).status == 200
    return ask(gateway.port, sent(secret, "openai")), "group_rate_limited", {}


def too_many_of_an_account(start: Make, serving: Make, kind: str = "account", **settings: Any) -> Asked:
    """An account that has room for one."""
    gateway = usual(serving, **settings)
    secret = key_of_new(gateway, kind, rate_limit={"concurrent_requests": 1})
    return crowded(gateway, secret), f"{kind}_concurrency_limited", {}


def too_many_of_a_group(start: Make, serving: Make, **settings: Any) -> Asked:
    """A group that has room for one."""
    return too_many_of_an_account(start, serving, "group", **settings)


def other_workspace(start: Make, serving: Make, **settings: Any) -> Asked:
    """A key of another workspace than the gateway's."""
    gateway = usual(serving, **settings)
    return ask(gateway.port, sent(key_of_new(gateway, "workspace"), "openai")), "key_wrong_workspace", {}


def feature(start: Make, serving: Make, **settings: Any) -> Asked:
    """Embeddings, which the key's workspace has switched off."""
    gateway = usual(serving, **settings)
    secret = key_of_here(gateway, features={"embeddings": False})
    asks = client.request({"model": "sim-1", "input": "a"}, path="/v1/embeddings", headers=bearer(secret))
    return ask(gateway.port, asks), "feature_disabled", {"field": "embeddings"}


def quota(start: Make, serving: Make, **settings: Any) -> Asked:
    """The second request of a workspace whose day has one."""
    gateway = usual(serving, **settings)
    secret = key_of_here(gateway, quota={"requests": 1})
    assert ask(gateway.port, sent(secret, "openai")).status == 200
    return ask(gateway.port, sent(secret, "openai")), "quota_exceeded", {}


def payer(serving: Make, name: str, key: dict[str, Any], **settings: Any) -> Answer:
    """The second request of a key with such settings, where one costs a point; `credit` is what its account has."""
    gateway = serving(store="edge.db", prices={"sim-*": {"request": 1_000_000}}, **settings)
    for path, said in (("accounts", {"name": name}), (f"accounts/{name}/credit", {"points": key.pop("credit", 9)})):
        assert httpx.post(f"{gateway.admin}/admin/{path}", json=said, **PLAIN).status_code in (200, 201)
    made = httpx.post(f"{gateway.admin}/admin/keys", json={"name": name, "account": name, **key}, **PLAIN).json()
    asked = post("openai", headers={"authorization": f"Bearer {made['secret']}"})
    assert ask(gateway.port, asked).status == 200
    return ask(gateway.port, asked)


def spent_account(start: Make, serving: Make, **settings: Any) -> Asked:
    """The second request of an account that has a point, where one costs a point."""
    return payer(serving, "poor", {"credit": 1}, **settings), "balance_insufficient", {"admitted": True}


def spent_key(start: Make, serving: Make, **settings: Any) -> Asked:
    """The same of a key that may spend one."""
    return payer(serving, "small", {"points": 1}, **settings), "key_balance_insufficient", {"admitted": True}


def spent_period(start: Make, serving: Make, **settings: Any) -> Asked:
    """The same of a key that may spend one a month."""
    return payer(serving, "slow", {"points_per_month": 1}, **settings), "key_period_limited", {"admitted": True}


def masked(start: Make, serving: Make, **settings: Any) -> Asked:
    """A provider's limit that is not to be passed on."""
    gateway = strict(serving, **settings)
    return ask(gateway.port, fault("status=429;retry-after=7", "narrow-1")("openai")), "provider_rate_limited/mask", {}


def memory(start: Make, serving: Make, **settings: Any) -> Asked:
    """A body for which there is no memory."""
    huge = head("POST PATH HTTP/1.1", *FIELDS, f"content-length: {1 << 30}")("openai")
    return ask(strict(serving, **settings).port, huge), "out_of_memory", {}


def late(start: Make, serving: Make, **settings: Any) -> Asked:
    """A worker that gets no CPU for a while, and once more."""
    with start(**settings) as gateway:          # its own: it is late for some time
        worker, low = gateway.children()[1], post("openai", headers={"authorization": f"Bearer {key_of('low')}"})
        for _ in range(5):
            os.kill(worker, signal.SIGSTOP)
            time.sleep(LATE_SECONDS)
            with Wire(gateway.port) as wire:
                wire.send(low)
                os.kill(worker, signal.SIGCONT)
                answer = read(wire.answer())
            if answer.status != 200:
                break
    return answer, "gateway_overloaded", {"admitted": False}


def slow_client(start: Make, serving: Make, **settings: Any) -> Asked:
    """A request whose last byte does not come."""
    with Wire(strict(serving, **settings).port) as wire:
        return read(wire.send(post("openai")[:-1]).answer()), "request_timeout", {}


def full_queue(start: Make, serving: Make, **settings: Any) -> Asked:
    """A request that finds the provider's one connection taken, and the queue's one place."""
    gateway = usual(serving, **settings)
    with Wire(gateway.port) as taker, Wire(gateway.port) as waiter:
        receive(taker.send(post("openai", model="narrow", stream=True, spec="stall=4")), b"data: ")
        waiter.send(post("openai", model="narrow"))
        gateway.wait(lambda: gateway.metric("edge_requests_in_flight", provider="narrow") == 2)
        answer = ask(gateway.port, post("openai", model="narrow"))
        taker.socket.close()
        assert read(waiter.answer()).status == 200
    return answer, "gateway_overloaded", {}


def open_circuit(start: Make, serving: Make, **settings: Any) -> Asked:
    """A model whose one target has failed twice."""
    port = strict(serving, **settings).port
    for _ in range(3):
        answer = ask(port, post("openai", model="closed-1"))
    return answer, "circuit_open", {"model": "closed-1"}


def refused_key(start: Make, serving: Make, **settings: Any) -> Asked:
    """A provider that has refused its only key."""
    port = strict(serving, **settings).port
    for _ in range(2):
        answer = ask(port, fault("status=401", "brief-1")("openai"))
    return answer, "provider_auth", {}


def limited_key(start: Make, serving: Make, **settings: Any) -> Asked:
    """A provider that has limited its only key."""
    port = strict(serving, **settings).port
    for _ in range(2):
        answer = ask(port, fault("status=429;retry-after=30", "hasty-1")("openai"))
    return answer, "keys_limited", {}


def draining(start: Make, serving: Make, **settings: Any) -> Asked:
    """A request on a kept connection while the gateway shuts down."""
    with start(**settings) as gateway, ExitStack() as stack:
        running, probe, kept = [stack.enter_context(Wire(gateway.port)) for _ in range(3)]
        for wire in (probe, kept):
            assert read(wire.send(client.request(path="/livez", method="GET")).answer()).status == 200
        receive(running.send(post("openai", stream=True, spec="stall=2")), b"data: ")
        gateway.process.send_signal(signal.SIGTERM)
        ready = client.request(path="/readyz", method="GET")
        gateway.wait(lambda: read(probe.send(ready).answer()).status == 503)
        answer = read(kept.send(post("openai")).answer())
        running.socket.close()
    return answer, "draining", {}


DEEDS: dict[str, Callable[..., Asked]] = {deed.__name__.replace("_", " "): deed for deed in (
    spent_account, spent_key, spent_period,
    limit_of_a_key, global_limit, model_limit, too_many_at_once, too_many_of_a_key, too_many_for_a_model, banned, group,
    providers_of_a_group, address_of_an_account, limit_of_an_account, limit_of_a_group, too_many_of_an_account,
    too_many_of_a_group, other_workspace, feature, quota, masked, memory, late, slow_client, full_queue, open_circuit,
    refused_key, limited_key, draining, maintained, short_of_memory, short_of_disk)}


def usual(serving: Make, **settings: Any) -> Gateway:
    """The gateway of test_contracts, and its like without models."""
    return serving(limits={"body_bytes": BODY_BYTES}, queue={"queue_size": QUEUE}, **OWNED, **settings)


def strict(serving: Make, **settings: Any) -> Gateway:
    """A gateway that has little patience, and refuses where it could try all the same."""
    return serving(limits={"body_bytes": 1 << 40, "memory_bytes": 64 << 20, "body_timeout": 2},
                   circuit_breaker={"failures": 2, "open_time": 30, "all_open": "refuse"},
                   provider_rate_limit="mask" if settings["contract"] == "tokenpak" else "pass", **settings)


def asked(way: str, start: Make, serving: Make, **settings: Any) -> Asked:
    """What comes of a way, the condition that is meant, and the facts that it may name."""
    if way in DEEDS:
        return DEEDS[way](start, serving, **settings)
    case = (CASES | VARIANTS | OWN)[way]
    return ask(usual(serving, **settings).port, case.send("openai")), case.condition, of("openai", case.facts)


def on_page(row: Row, answer: Answer) -> str:
    """The row as docs/rows.md has it: by its first way."""
    way = row.ways[0]
    request = None if way in DEEDS else (CASES | VARIANTS | OWN)[way].send("openai")
    about = "" if way not in DEEDS else (DEEDS[way].__doc__ or "").strip().rstrip(".")
    return rows_page.line(row.id, way.replace("_", " "), request, about, answer)


def test_every_row_stands_for_a_contract() -> None:
    """The table is of the five systems, and names no way that there is not."""
    five = {"tokenpak", "tokenfactory", "tokenbay", "token360", "generic"}
    assert {row.id.partition("/")[0] for row in ROWS} == five and five <= set(CONTRACTS)
    assert {way for row in ROWS for way in row.ways} <= CASES.keys() | VARIANTS.keys() | OWN.keys() | DEEDS.keys()


@pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.id}-{row.ways[0]}")
def test_rows(start: Make, serving: Make, row: Row, settings: dict[str, Any], pytestconfig: pytest.Config) -> None:
    """Whatever leads to a row is answered with its status, code, type, message, param and fields, as the page shows."""
    contract = row.id.partition("/")[0]
    for way in row.ways:
        if settings and way in NEEDS_MODELS:
            continue
        answer, condition, facts = asked(way, start, serving, contract=contract, **settings)
        check(answer, contract, "openai", condition, facts)
        error = answer.json()["error"]
        assert answer.status == row.status, way
        if contract == "tokenpak":
            assert error["type"] == snake(row.status), way
        facts = {**facts, "retry_after": answer.fields.get("retry-after")}
        for name, said in row.says.items():
            assert error[name] == (said.format(**facts) if said else said), way
        assert set(row.fields) <= answer.fields.keys(), way
        if way == row.ways[0] and not settings:
            rows_page.seen(pytestconfig, ROWS.index(row), on_page(row, answer))
