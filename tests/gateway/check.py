"""Holds an answer, or the event that ends a stream, to what `answers` promises."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from tests.gateway.answers import CONTRACTS, Row
from tests.gateway.client import Answer
from tests.gateway.meanings import MEANINGS

# The members of `error`, in order: on OpenAI's routes, on Anthropic's; and whether the former are framed as the latter.
ENVELOPES: dict[str, tuple[str, str, bool]] = {
    "openai": ("message type param code", "type message param code", False),
    "anthropic": ("type message param code", "type message", True),
    "tokenpak": ("type message code", "type message code", False),
    "tokenfactory": ("type code message param", "type code message param", False),
    "tokenbay": ("message type code", "type message code", False),
    "token360": ("message type param code traceId", "type message param code traceId", False),
    "generic": ("message type param code", "type message param code", False),
}
Facts = dict[str, Any]
# RFC 9110 section 15, RFC 6585 section 5, and Anthropic's 529.
PHRASES = {
    400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 408: "Request Timeout", 409: "Conflict", 413: "Content Too Large", 414: "URI Too Long",
    415: "Unsupported Media Type", 426: "Upgrade Required",
    422: "Unprocessable Content", 429: "Too Many Requests", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Gateway Timeout", 505: "HTTP Version Not Supported", 529: "Overloaded",
}
# Until they are admitted, requests are told nothing of limits.
ADMITTED = ("rate_limited", "global_rate_limited", "model_rate_limited", "concurrency_limited",
            "model_concurrency_limited", "global_concurrency_limited", "gateway_overloaded", "provider_",
            "circuit_open", "keys_limited", "context_length", "account_rate_limited",
            "account_concurrency_limited", "group_rate_limited", "group_concurrency_limited", "quota_exceeded")
PATIENCE_SECONDS = 60
# Retry-After where no retry is advised: Token Factory has it in its 408. Libraries obey x-should-retry before it.
PROMISED = {("tokenfactory", "provider_timeout")}
# What must never reach a client: words of the program, keys.
INSIDE = re.compile(rb"Traceback|Error\(|\.pyx?\b|sk-|\{[a-z_]+\}")


def snake(status: int) -> str:
    """The status' reason phrase in snake case."""
    return PHRASES[status].lower().replace(" ", "_")


def check(answer: Answer, contract: str, surface: str, condition: str, facts: Facts | None = None) -> None:
    """The whole answer: status line, fields, body. `condition` may have /variant of the contract behind it."""
    facts = dict(facts or {})
    name = condition.partition("/")[0]
    row, meaning, fields = CONTRACTS[contract][condition], MEANINGS[name], answer.fields
    status = row.status or facts["status"]
    assert fields["x-edge-condition"] == name, answer
    assert (answer.status, answer.reason) == (status, PHRASES[status])
    assert fields["x-edge-blame"] == meaning.blame
    assert fields["x-request-id"] == fields["request-id"]
    assert re.fullmatch(facts.get("request_id", "req-[0-9a-f]{16}"), fields["x-request-id"])
    assert "date" in fields
    assert fields.get("www-authenticate") == ("Bearer" if status == 401 else None)
    check_retry(fields, meaning.retry, facts, promised=(contract, name) in PROMISED)
    check_limits(fields, name, facts.get("admitted", name.startswith(ADMITTED)))
    assert not INSIDE.search(answer.body), answer.body
    if row.status == 0 and contract == surface:
        assert answer.json()["error"]["message"] == facts["message"]        # the provider's own body
        return
    check_body(answer.json(), contract, surface, row, {**facts, "status": status, "id": fields["x-request-id"]})


def check_retry(fields: dict[str, str], retry: str, facts: Facts, *, promised: bool = False) -> None:
    """The fields that client libraries act on. Notes the seconds as a fact."""
    if retry != "later":
        assert fields.get("retry-after") == ("1" if promised else None)
        assert "retry-after-ms" not in fields
        assert fields["x-should-retry"] == ("true" if retry == "now" else "false")
        return
    seconds, milliseconds = int(fields["retry-after"]), int(fields["retry-after-ms"])
    assert seconds >= 1
    assert (seconds - 1) * 1000 < milliseconds <= seconds * 1000
    assert fields["x-should-retry"] == ("true" if seconds <= PATIENCE_SECONDS else "false")
    assert str(seconds) == facts.setdefault("retry_after", str(seconds))


def check_limits(fields: dict[str, str], name: str, told_of: bool = True) -> None:
    """X-RateLimit-*: numbers that fit each other, on every answer after the limits were asked."""
    told = {key: value for key, value in fields.items() if key.startswith("x-ratelimit-") and key.count("-") == 2}
    if not told_of:
        assert told == {}
        return
    limit, remaining, reset = (int(told[f"x-ratelimit-{part}"]) for part in ("limit", "remaining", "reset"))
    assert 0 <= remaining <= limit
    assert -2 <= reset - time.time() <= (86402 if name == "quota_exceeded" else 3600)
    if name in ("rate_limited", "global_rate_limited", "model_rate_limited"):
        assert remaining < limit
        assert int(fields["retry-after"]) <= reset - time.time() + 2


def check_body(body: Any, contract: str, surface: str, row: Row, facts: Facts, frame: str = "error") -> None:
    """The envelope, exactly: its members in order, and what each says."""
    openai, anthropic, framed = ENVELOPES[contract]
    if surface == "anthropic" or framed:
        assert list(body) == ["type", "error", "request_id"]
        assert (body["type"], body["request_id"]) == ("error", facts["id"])
    else:
        assert list(body) == (["error"] if frame == "error" else ["type", "error"])
    error = body["error"]
    assert list(error) == (anthropic if surface == "anthropic" else openai).split()
    promised = {"type": snake(facts["status"]) if row.type == "=" else row.type,
                "code": str(facts["status"]) if row.code == "?" else row.code,
                "param": row.param and row.param.format(**facts), "traceId": facts["id"]}
    assert {name: error[name] for name in promised if name in error} == {
        name: value for name, value in promised.items() if name in error}
    check_message(error["message"], row, facts)


def check_message(message: str, row: Row, facts: Facts) -> None:
    """As the contract has it; where it has none, a sentence that names what the case is about."""
    if row.message is not None:
        assert message == row.message.format(**facts)
        return
    assert message and message == message.strip()
    for name in ("field", "model", "path" if "path" in facts else "method", "limit", "expected", "got", "whose"):
        assert str(facts.get(name, "")) in message


def check_event(text: bytes, contract: str, surface: str, condition: str, facts: Facts) -> None:
    """The event that ends a stream in trouble."""
    found = re.fullmatch(rb"event: error\ndata: (.+)\n\n", text)
    assert found, text
    assert not INSIDE.search(text), text
    row = CONTRACTS[contract][condition]
    frame = "stream" if contract == "openai" else "error"
    check_body(json.loads(found[1]), contract, surface, row, {**facts, "status": row.status}, frame)
