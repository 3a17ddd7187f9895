"""What each contract promises, row by row, as a client reads it."""

from __future__ import annotations

from typing import Any

import pytest

from edge._fast import Condition as C
from tests.contract.answers import CONDITIONS, CONTRACTS, SURFACES, answer

FIELD = {"field": "max_tokens", "expected": "a number", "got": "string"}
INVALID_KEY = {"code": "401", "type": "invalid_api_key", "message": "Invalid API key or token provided"}
AUTH_003 = {"code": "AUTH_003", "type": "unauthorized",
            "message": "Authentication failed. Key may be expired or revoked"}

# contract, condition, values, status, members of the error object
PROMISES: list[tuple[str, C, dict[str, Any], int, dict[str, Any]]] = [
    ("tokenpak", C.key_missing, {}, 401,
     {"code": "AUTH_001", "type": "unauthorized", "message": "Invalid or missing authentication"}),
    ("tokenpak", C.key_malformed, {}, 401,
     {"code": "AUTH_002", "type": "unauthorized",
      "message": "Invalid authentication format. Expected: Bearer <token>"}),
    ("tokenpak", C.key_unknown, {}, 401, AUTH_003),
    ("tokenpak", C.key_expired, {}, 401, AUTH_003),
    ("tokenpak", C.key_disabled, {}, 401, AUTH_003),
    ("tokenpak", C.scope_missing, {"field": "embeddings"}, 403, {"type": "forbidden", "code": "AUTH_004"}),
    ("tokenpak", C.endpoint_unknown, {"path": b"/api/chat"}, 404,
     {"type": "not_found", "message": "Unknown endpoint /api/chat"}),
    ("tokenpak", C.json_invalid, {"reason": "at byte 3"}, 400,
     {"code": "VALIDATION_001", "type": "bad_request", "message": "Invalid JSON payload. Check syntax."}),
    ("tokenpak", C.field_missing, {"field": "model"}, 400,
     {"code": "VALIDATION_002", "type": "bad_request", "message": "Missing required field: model"}),
    ("tokenpak", C.field_type, FIELD, 400,
     {"code": "VALIDATION_003", "type": "bad_request",
      "message": "Field 'max_tokens' must be a number, got string"}),
    ("tokenpak", C.content_type, {}, 400, {"type": "bad_request"}),
    ("tokenpak", C.headers_too_large, {}, 431, {"type": "request_header_fields_too_large"}),
    ("tokenpak", C.provider_auth, {"upstream_status": 403}, 502,
     {"code": "PROVIDER_001", "type": "bad_gateway", "message": "Provider rejected request: Invalid API key"}),
    ("tokenpak", C.provider_rate_limited, {"retry_after": 1500}, 429,
     {"code": "RATELIMIT_002", "type": "too_many_requests",
      "message": "Provider rate limit exceeded. Retry-After: 2"}),
    ("tokenpak", C.provider_unreachable, {"reason": "Connection timeout"}, 502,
     {"code": "PROVIDER_003", "type": "bad_gateway", "message": "Unable to reach provider: Connection timeout"}),
    ("tokenpak", C.provider_disconnected, {"reason": "closed the connection without an answer"}, 502,
     {"code": "PROVIDER_003", "type": "bad_gateway",
      "message": "Unable to reach provider: closed the connection without an answer"}),
    ("tokenpak", C.provider_error, {"upstream_status": 500, "upstream_reason": "Internal Server Error"}, 502,
     {"code": "PROVIDER_004", "type": "bad_gateway", "message": "Provider error: 500 Internal Server Error"}),
    ("tokenpak", C.rate_limited, {"retry_after": 30000}, 429,
     {"code": "RATELIMIT_001", "type": "too_many_requests", "message": "Rate limit exceeded. Retry-After: 30"}),
    ("tokenpak", C.config_invalid, {"reason": "YAML syntax error at line 12"}, 500,
     {"code": "CONFIG_001", "message": "Failed to load config: YAML syntax error at line 12"}),
    ("tokenpak", C.config_missing_field, {"field": "port"}, 500,
     {"code": "CONFIG_002", "message": "Config validation failed: Missing required field 'port'"}),
    ("tokenpak", C.out_of_memory, {}, 500, {"code": "RESOURCE_001", "message": "Cannot allocate memory"}),
    ("tokenpak", C.disk_full, {}, 500,
     {"code": "RESOURCE_002", "type": "internal_server_error", "message": "No space left on device"}),
    ("tokenpak", C.provider_quota, {"upstream_status": 402}, 502, {"type": "bad_gateway"}),
    ("tokenpak", C.context_length, {"upstream_status": 413, "message": "no"}, 413,
     {"type": "content_too_large", "message": "no"}),
    ("tokenpak", C.provider_timeout, {"timeout": "30"}, 504,
     {"code": "TIMEOUT_001", "type": "gateway_timeout", "message": "Request to upstream took too long (>30s)"}),
    ("tokenpak", C.gateway_overloaded, {"reason": "connections"}, 503, {"type": "service_unavailable"}),
    ("tokenpak", C.draining, {}, 503, {"type": "service_unavailable"}),
    ("tokenpak", C.internal_error, {}, 500, {"type": "internal_server_error"}),
    ("tokenpak", C.provider_rejected, {"upstream_status": 422, "message": "no"}, 422,
     {"type": "unprocessable_content", "message": "no"}),
    ("tokenfactory", C.json_invalid, {}, 400, {"param": None}),
    ("tokenfactory", C.field_missing, {"field": "model"}, 400, {"param": "model"}),
    ("tokenfactory", C.key_missing, {}, 401, {}),
    ("tokenfactory", C.key_malformed, {}, 401, {}),
    ("tokenfactory", C.key_unknown, {}, 401, {}),
    ("tokenfactory", C.model_unknown, {"model": "gpt-9"}, 404, {"param": "model"}),
    ("tokenfactory", C.endpoint_unknown, {}, 404, {}),
    ("tokenfactory", C.request_timeout, {}, 408, {}),
    ("tokenfactory", C.provider_timeout, {"timeout": "30"}, 408, {}),
    ("tokenfactory", C.field_value, {"field": "temperature", "expected": "between 0 and 2", "got": b"9"}, 422,
     {"param": "temperature", "message": "Field 'temperature' must be between 0 and 2, got 9"}),
    ("tokenfactory", C.rate_limited, {"retry_after": 700}, 429, {}),
    ("tokenfactory", C.internal_error, {}, 500, {}),
    ("tokenfactory", C.provider_unreachable, {}, 502, {}),
    ("tokenfactory", C.provider_error, {}, 502, {}),
    ("tokenfactory", C.circuit_open, {"model": "m", "retry_after": 9100}, 503,
     {"param": "model", "message": "No provider of the model m is healthy. Retry after 10 s"}),
    ("tokenbay", C.json_invalid, {}, 400, {}),
    ("tokenbay", C.field_missing, {"field": "model"}, 400, {}),
    ("tokenbay", C.field_type, FIELD, 400, {}),
    ("tokenbay", C.body_unreadable, {}, 400, {}),
    ("tokenbay", C.key_missing, {}, 401, {}),
    ("tokenbay", C.key_unknown, {}, 401, {}),
    ("tokenbay", C.key_disabled, {}, 403, {"code": "api_key_disabled"}),
    ("tokenbay", C.key_expired, {}, 403, {"code": "api_key_expired"}),
    ("tokenbay", C.model_denied, {"model": "m"}, 403, {"code": "api_key_model_not_allowed"}),
    ("tokenbay", C.model_unknown, {"model": "m"}, 404, {"code": "model_not_found"}),
    ("tokenbay", C.endpoint_unknown, {}, 404, {}),
    ("tokenbay", C.body_too_large, {"limit": 10}, 413, {"message": "The request body is larger than 10 bytes"}),
    ("tokenbay", C.global_rate_limited, {"retry_after": 1}, 429, {}),
    ("tokenbay", C.provider_rate_limited, {}, 429, {}),
    ("tokenbay", C.provider_overloaded, {}, 429, {}),
    ("tokenbay", C.provider_unreachable, {}, 500, {}),
    ("tokenbay", C.provider_error, {}, 500, {}),
    ("tokenbay", C.provider_response_invalid, {}, 500, {}),
    ("tokenbay", C.not_implemented, {"model": "m"}, 501, {}),
    ("tokenbay", C.gateway_overloaded, {"reason": "memory"}, 503, {"message": "The gateway is overloaded: memory"}),
    ("tokenbay", C.circuit_open, {}, 503, {}),
    ("tokenbay", C.keys_limited, {}, 503, {}),
    ("tokenbay", C.provider_timeout, {}, 504, {}),
    ("token360", C.key_missing, {}, 401, INVALID_KEY),
    ("token360", C.key_malformed, {}, 401, INVALID_KEY),
    ("token360", C.key_unknown, {}, 401, INVALID_KEY),
    ("token360", C.key_expired, {}, 401, INVALID_KEY),
    ("token360", C.json_invalid, {}, 400, {"type": "invalid_request_error", "param": None, "code": "400"}),
    ("token360", C.field_missing, {"field": "model"}, 400, {"type": "invalid_request_error", "param": "model"}),
    ("token360", C.field_type, FIELD, 400, {"type": "invalid_request_error", "param": "max_tokens"}),
    ("token360", C.field_value, FIELD, 400, {"type": "invalid_request_error", "param": "max_tokens"}),
    ("token360", C.endpoint_unknown, {}, 404, {"type": "not_found_error", "code": "404"}),
    ("token360", C.model_unknown, {"model": "m"}, 404,
     {"type": "model_not_found", "param": "model", "code": "404", "message": "The requested model does not exist"}),
    ("token360", C.model_denied, {"model": "m"}, 403, {"type": "model_access_denied"}),
    ("token360", C.scope_missing, {}, 403, {"type": "model_access_denied"}),
    ("token360", C.rate_limited, {"retry_after": 1}, 429,
     {"type": "rate_limit_error", "code": "429", "message": "Rate limit exceeded. Please slow down your requests"}),
    ("token360", C.internal_error, {}, 500,
     {"type": "api_error", "code": "500", "message": "An internal error occurred"}),
    ("token360", C.gateway_overloaded, {}, 503, {"type": "api_error"}),
    ("token360", C.draining, {}, 503, {"type": "api_error"}),
    ("token360", C.circuit_open, {}, 503, {"type": "api_error"}),
    ("token360", C.provider_rejected, {"upstream_status": 404, "message": "no"}, 404, {"code": "404"}),
    *(("token360", c, {}, 502, {"type": "api_error", "code": "502"}) for c in (
        C.provider_auth, C.provider_quota, C.provider_region, C.provider_rate_limited, C.provider_overloaded,
        C.provider_unreachable, C.provider_timeout, C.provider_error, C.provider_response_invalid, C.provider_cut,
        C.provider_stalled)),
    ("generic", C.json_invalid, {}, 400, {}),
    ("generic", C.field_missing, {"field": "model"}, 400, {}),
    ("generic", C.key_missing, {}, 401, {}),
    ("generic", C.key_unknown, {}, 401, {}),
    ("generic", C.scope_missing, {}, 403, {}),
    ("generic", C.model_denied, {}, 403, {}),
    ("generic", C.rate_limited, {}, 429, {}),
    ("generic", C.internal_error, {}, 500, {}),
    ("generic", C.provider_error, {}, 502, {}),
    ("generic", C.provider_overloaded, {}, 502, {}),
    ("generic", C.provider_unreachable, {}, 502, {}),
    ("generic", C.gateway_overloaded, {}, 503, {}),
    ("generic", C.draining, {}, 503, {}),
    ("generic", C.provider_timeout, {}, 504, {}),
    ("openai", C.model_unknown, {"model": "m"}, 404, {"code": "model_not_found", "param": "model"}),
    ("openai", C.context_length, {"upstream_status": 400, "message": "no"}, 400,
     {"code": "context_length_exceeded", "type": "invalid_request_error", "message": "no"}),
    ("openai", C.key_unknown, {}, 401, {"code": "invalid_api_key", "type": "invalid_request_error"}),
    ("openai", C.rate_limited, {"retry_after": 2001}, 429,
     {"code": "rate_limit_exceeded", "message": "Rate limit reached for requests. Please try again in 3s."}),
]
# How each contract's error object looks, on both kinds of routes.
MEMBERS = {
    "openai": {"message", "type", "param", "code"}, "generic": {"message", "type", "param", "code"},
    "tokenfactory": {"type", "code", "message", "param"}, "tokenpak": {"type", "message", "code"},
    "tokenbay": {"message", "type", "code"}, "token360": {"message", "type", "param", "code", "traceId"},
}
ANTHROPIC_TYPES = {400: "invalid_request_error", 401: "authentication_error", 402: "billing_error",
                   403: "permission_error", 404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error",
                   500: "api_error", 504: "timeout_error", 529: "overloaded_error"}     # https://docs.anthropic.com/en/api/errors


@pytest.mark.parametrize("surface", ["openai", "anthropic"])
@pytest.mark.parametrize("promise", PROMISES, ids=lambda p: f"{p[0]}-{p[1].name}")
def test_a_row_answers_as_promised(promise: tuple[str, C, dict[str, Any], int, dict[str, Any]], surface: str) -> None:
    """A condition has the status, code, type, message and param that its contract promises, on every route."""
    name, condition, given, status, members = promise
    found = answer(name, surface, condition, given)
    assert found.status == status
    assert {key: found.body["error"][key] for key in members} == members


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda c: c.name)
@pytest.mark.parametrize("name", MEMBERS)
def test_envelopes_have_their_members(name: str, condition: C) -> None:
    """A contract's object has the same members in every answer, inside Anthropic's frame on Anthropic's routes."""
    plain = answer(name, "openai", condition).body
    framed = answer(name, "anthropic", condition).body
    assert set(plain) == {"error"} and set(plain["error"]) == MEMBERS[name]
    assert framed == {"type": "error", "error": plain["error"], "request_id": "req-0123456789abcdef"}
    assert isinstance(plain["error"]["message"], str) and isinstance(plain["error"]["type"], str)


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda c: c.name)
def test_anthropic_has_its_own_frame_and_types(condition: C) -> None:
    """Anthropic's contract has type, error and request_id, and a type of its list that fits the status."""
    found = answer("anthropic", "anthropic", condition)
    assert set(found.body) == {"type", "error", "request_id"} and set(found.body["error"]) == {"type", "message"}
    assert found.body["error"]["type"] == ANTHROPIC_TYPES.get(found.status, found.body["error"]["type"])
    assert found.body["error"]["type"] in ANTHROPIC_TYPES.values()


def test_token_factory_answers_for_keys_with_code_and_error() -> None:
    """Token Factory's management of keys has the envelope {code, error}."""
    found = answer("tokenfactory", "admin", C.key_missing)
    assert found.body == {"code": "key_missing", "error": "No API key was given"}


def test_trace_id_is_the_request_id() -> None:
    """Token360's traceId is the id that the fields of the head and the log have."""
    found = answer("token360", "openai", C.internal_error)
    assert found.body["error"]["traceId"] == found.headers["x-request-id"] == "req-0123456789abcdef"


@pytest.mark.parametrize(("name", "members"), [
    ("tokenpak", {"code": "PROVIDER_002", "type": "bad_gateway", "message": "Provider rate limit exceeded"}),
    ("openai", {"code": "provider_rate_limited", "type": "server_error"}),
    ("tokenfactory", {"type": "upstream_error"}), ("tokenbay", {"type": "bad_gateway"}),
    ("anthropic", {"type": "api_error"}),
])
def test_a_masked_rate_limit_is_a_bad_gateway(name: str, members: dict[str, str]) -> None:
    """With provider_rate_limit: mask a provider's 429 is a 502 with Retry-After."""
    found = answer(name, "openai", C.provider_rate_limited, {"retry_after": 4200}, flags=("mask_rate_limit",))
    assert found.status == 502 and found.headers["retry-after"] == "5"
    assert {key: found.body["error"][key] for key in members} == members


@pytest.mark.parametrize(("name", "condition"), [
    ("tokenpak", C.provider_rate_limited), ("tokenpak", C.rate_limited), ("tokenpak", C.gateway_overloaded),
    ("tokenpak", C.draining), ("tokenfactory", C.rate_limited),
    ("tokenbay", C.global_rate_limited), ("tokenbay", C.provider_rate_limited), ("tokenbay", C.provider_overloaded),
    ("tokenbay", C.keys_limited), ("tokenfactory", C.circuit_open), ("token360", C.circuit_open),
    ("token360", C.rate_limited), ("token360", C.gateway_overloaded), ("token360", C.draining),
    ("generic", C.draining),
], ids=str)
def test_promised_waits_are_there_even_when_nobody_knows_them(name: str, condition: C) -> None:
    """Where a contract promises Retry-After it is there, whole seconds and at least 1, whatever is known."""
    assert answer(name, "openai", condition).headers["retry-after"] == "1"
    assert answer(name, "openai", condition, {"retry_after": 2100}).headers["retry-after"] == "3"


def test_a_promised_wait_is_no_advice() -> None:
    """Token Factory's 408 of a slow upstream has Retry-After, and yet says that the request is not to be repeated."""
    found = answer("tokenfactory", "openai", C.provider_timeout, {"timeout": "30"})
    assert (found.status, found.headers["retry-after"], found.headers["x-should-retry"]) == (408, "1", "false")


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("name", CONTRACTS)
def test_no_answer_shows_a_value_that_is_missing(name: str, surface: str) -> None:
    """Without any values an answer still reads as a sentence: no None, no braces, no empty message."""
    for condition in CONDITIONS:
        error = answer(name, surface, condition).body["error"]
        text = error if isinstance(error, str) else error["message"]
        assert text and "None" not in text and "{" not in text and "  " not in text
