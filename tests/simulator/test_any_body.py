"""Whatever a body holds, the simulated provider answers as a provider does."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.simulator.answer import Call, Options
from edge.simulator.request import Request
from edge.simulator.routes import ENDPOINTS, answer

NAMES = ("model", "messages", "stream", "n", "max_tokens", "tools", "tool_choice", "input", "prompt",
         "system", "stream_options", "dimensions", "instructions", "role", "content", "text", "type",
         "function", "name", "parameters", "properties", "input_schema", "enum", "encoding_format")
SCALARS = st.none() | st.booleans() | st.integers(-2, 12) | st.floats(-1, 1) | st.sampled_from(
    ["", "m", "auto", "any", "tool", "function", "required", "base64", "object", "a b c"])
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4), max_leaves=12)
# Bodies that pass the checks of required members, so that the endpoints themselves are reached.
MESSAGE = st.fixed_dictionaries({"role": st.just("user"), "content": JSON})
NAMED = st.fixed_dictionaries({"name": st.just("f"), "parameters": JSON, "input_schema": JSON})
TOOL = NAMED.map(lambda named: {"type": "function", "function": named, **named})
CHOICE = st.sampled_from(["required", "auto", {"type": "any"}, {"type": "tool", "name": "f"}])
LIKELY = st.fixed_dictionaries(
    {"model": st.just("m"), "max_tokens": st.integers(1, 20),
     "input": st.just("x") | st.lists(JSON, max_size=3),
     "messages": st.lists(MESSAGE | JSON, min_size=1, max_size=3)},
    optional={"stream": st.booleans(), "tools": st.lists(TOOL | JSON, max_size=3),
              "tool_choice": CHOICE | JSON,
              "system": JSON, "stream_options": JSON, "instructions": JSON, "prompt": JSON,
              "n": st.integers(1, 3)})
POSTED = sorted(path for method, path in ENDPOINTS if method == "POST")


def _ask(path: str, body: Any) -> Any:
    headers = [(b"anthropic-version", b"1")] if path.startswith("/v1/messages") else []
    request = Request("POST", path, "1.1", headers, True, number=1, connection=1, at=1.0)
    return answer(Call(request, body, Options()))


@pytest.mark.parametrize("path", POSTED)
@pytest.mark.parametrize("bodies", [JSON, LIKELY], ids=["any", "likely"])
def test_any_body(path: str, bodies: st.SearchStrategy[Any]) -> None:
    """Any JSON at all gets an answer that can be read, plain or streaming, or the provider's 400."""
    @settings(max_examples=60, deadline=None)
    @given(bodies)
    def check(body: Any) -> None:
        found = _ask(path, body)
        assert found.status in (200, 400)
        if found.status == 400:
            assert "error" in orjson.loads(found.body)
        for event in (*(found.events or ()), *found.terminal):
            data = event.partition(b"data: ")[2]
            assert event.endswith(b"\n\n")
            assert data == b"[DONE]\n\n" or isinstance(orjson.loads(data), dict)
    check()
