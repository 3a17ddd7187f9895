"""Providers' own errors: bodies as they are seen in life, and bodies that nobody should send."""

from __future__ import annotations

import itertools
import time
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge import contract, strict_yaml
from edge._fast import Condition as C
from edge.contract.provider_errors import LONGEST_MESSAGE, LONGEST_NAME, LOOKED_AT, classify
from tests.contract.provider_bodies import CUT_OFF, LIFE, anthropic, openai
from tests.contract.test_files import SHIPPED

RULES = strict_yaml.load((SHIPPED / "provider_errors.yaml").read_text(), "provider_errors.yaml").data["rules"]
CLIENT_S = (C.provider_rejected, C.context_length, C.model_unknown)
UPSTREAM_S = (C.provider_auth, C.provider_quota, C.provider_region, C.provider_rate_limited, C.provider_overloaded,
              C.provider_timeout, C.provider_error)
EDGE_S = (C.provider_misconfigured,)


@pytest.mark.parametrize(("status", "body", "condition", "message", "kind"), LIFE)
def test_errors_as_providers_send_them(status: int, body: bytes, condition: C, message: str | None,
                                       kind: str | None) -> None:
    """Status and body of a provider's error become one condition, with the provider's own words and name for it."""
    assert classify(status, body)[:3] == (condition, message, kind)


@pytest.mark.parametrize("status", range(300, 600))
def test_every_status_has_a_condition(status: int) -> None:
    """Without a word of the provider's, each status means what its class and the few special ones mean."""
    special = {401: C.provider_auth, 402: C.provider_quota, 403: C.provider_auth, 407: C.provider_auth,
               404: C.provider_misconfigured, 405: C.provider_misconfigured,
               408: C.provider_timeout, **dict.fromkeys((524, 598, 599), C.provider_timeout),
               429: C.provider_rate_limited, 529: C.provider_overloaded}
    usual = C.provider_rejected if 400 <= status < 500 else C.provider_error
    assert classify(status, b"")[:3] == (special.get(status, usual), None, None)


def statuses(rule: dict[str, Any]) -> list[int]:
    """Some statuses of a rule."""
    given = rule.get("status", [200, 400, 401, 403, 404, 429, 500])
    return [each if isinstance(each, int) else int(each[0]) * 100 for each in given]


@pytest.mark.parametrize("rule", [rule for rule in RULES if "named" in rule or "says" in rule],
                         ids=lambda rule: rule["condition"])
def test_each_name_and_text_of_the_table_decides(rule: dict[str, Any]) -> None:
    """No entry of the table is hidden by one before it."""
    names = [spelt for name in rule.get("named", ["t"]) for spelt in (
        name, name.upper(), "".join(part.capitalize() for part in name.split("_")))]
    texts = [said for text in rule.get("says", ["m"]) for said in (
        text.replace("*", ""), text.replace("*", " so\nsays it ").strip().upper())]
    for status, name, said in itertools.product(statuses(rule), names, texts):
        for body in (openai(said, name), openai(said, None, name), anthropic(name, said),
                     {"code": name, "message": said}):
            assert classify(status, orjson.dumps(body)).condition == C[rule["condition"]], (status, name, said)


@pytest.mark.parametrize("said", [CUT_OFF, "This organization has been disabled.",
                                  "User location is not supported for the API use."])
@pytest.mark.parametrize("form", ["{}: Extra inputs are not permitted", "Invalid value: '{}'.", "model: {}", "{} {}"])
def test_a_client_s_words_do_not_blame_the_gateway_s_key(said: str, form: str) -> None:
    """A message that repeats what the client sent is the client's error, whatever the client made it say."""
    body = anthropic("invalid_request_error", form.format(said, "and more"))
    assert classify(400, orjson.dumps(body)).condition == C.provider_rejected


@pytest.mark.parametrize("said", ["Model Not Exist", "invalid model ID", "Model not found: m", "model_not_supported",
                                  "The model m does not exist", "The provided model identifier is invalid."])
@pytest.mark.parametrize("form", ["{}: Extra inputs are not permitted", "Invalid value: '{}'.", "model: {}", "{} {}",
                                  "No tool of the name {}"])
def test_a_client_s_words_make_no_model_unknown(said: str, form: str) -> None:
    """A message that repeats what the client sent is told as it is, not as an unknown model."""
    body = anthropic("invalid_request_error", form.format(said, "and more"))
    assert classify(400, orjson.dumps(body)).condition == C.provider_rejected


@pytest.mark.parametrize("body", [
    b"[" * 100_000, b'{"error":' * 20_000 + b"1" + b"}" * 20_000, b'{"error":"' + b"context " * 200_000 + b'"}',
    b'{"error":{"message":"' + b"x" * 60_000 + b'"}}', b"\x00" * 100_000, b"\xff" * 100_000, b'{"a":1,' * 10_000,
    b'"' + b"\\u0000" * 9000 + b'"', b'{"error":{"code":' + b"9" * 30_000 + b"}}",
    b'{"message":"' + b"slow your credit " * 3000 + b'"}', b'{"error":{"type":"' + b"_" * 60_000 + b'","message":"m"}}',
])
def test_hostile_bodies_take_bounded_work(body: bytes) -> None:
    """The largest and deepest bodies are judged by their status within milliseconds, and their words are cut."""
    for status, condition in ((500, C.provider_error), (429, C.provider_rate_limited), (200, C.provider_error)):
        start = time.process_time()
        verdict = classify(status, body)
        assert time.process_time() - start < 0.05
        assert verdict.condition == condition
        assert verdict.message is None or len(verdict.message) <= LONGEST_MESSAGE


def test_only_the_beginning_is_looked_at() -> None:
    """What stands behind the first 64 KB decides nothing."""
    name = b'"type":"insufficient_quota"'
    for size, condition in ((LOOKED_AT - 40, C.provider_quota), (LOOKED_AT, C.provider_rate_limited)):
        assert classify(429, b'{"error":{' + b" " * (size - 12) + name + b"}}").condition == condition


def test_words_are_cut_and_mended() -> None:
    """A long message is cut at 2048 characters, a long name at 64, and bytes that are no UTF-8 are replaced."""
    found = classify(400, orjson.dumps(openai("€" * 5000, "t" * 100)))
    assert found.message == "€" * LONGEST_MESSAGE and found.kind == "t" * LONGEST_NAME
    found = classify(400, b'\xef\xbb\xbf{"error":{"message":" caf\xe9 ","type":"invalid_request_error"}}')
    assert found[:3] == (C.provider_rejected, "caf\ufffd", "invalid_request_error")


WORDS = st.sampled_from(["error", "message", "type", "code", "detail", "response", "innererror", "status", "loc", "msg",
                         "overloaded_error", "insufficient_quota", "invalid_request_error", 429, 403, "402", "", "x"])
TREES = st.recursive(WORDS | st.none() | st.booleans() | st.integers(-2**63, 2**63) | st.floats() | st.text(max_size=9),
                     lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS.map(str), inner, max_size=5),
                     max_leaves=20)


@given(st.integers(), st.binary(max_size=200) | TREES.map(lambda tree: orjson.dumps(tree)))
@example(401, b'{"error":{"type":"invalid_request_error","code":400}}')
@example(403, b'{"error":{"code":"context_length_exceeded","message":"maximum context length"}}')
def test_no_body_is_too_strange(status: int, body: bytes) -> None:
    """Any status and body give a condition, and what is said of our key is never the client's fault."""
    condition, message, kind, _ = classify(status, body)
    assert condition in (*CLIENT_S, *UPSTREAM_S, *EDGE_S)
    assert status not in (401, 402, 403) or condition in UPSTREAM_S
    assert status < 300 or status in range(400, 500) or condition in UPSTREAM_S
    assert message is None or 0 < len(message) <= LONGEST_MESSAGE
    assert kind is None or 0 < len(kind) <= LONGEST_NAME


def test_blames_are_those_of_the_conditions() -> None:
    """What the table calls the client's is the client's in the table of conditions, the rest is the provider's, or the
    configuration's."""
    assert {rule["condition"] for rule in RULES} == {c.name for c in (*CLIENT_S, *UPSTREAM_S, *EDGE_S)}
    assert {contract.blames()[c.name] for c in EDGE_S} == {"edge"}
    assert {contract.blames()[c.name] for c in CLIENT_S} == {"client"}
    assert {contract.blames()[c.name] for c in UPSTREAM_S} == {"upstream"}
