"""Each method with each path and each kind of body, with a key and without: nothing but an answer comes of it."""

from __future__ import annotations

import itertools

import pytest

from tests.support.gateway import KEY, Gateway
from tests.support.talk import Talk, asked, request

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW")
PATHS = ("/", "/health", "/livez", "/readyz", "/stats", "/v1/models", "/v1/models/x", "/v1/chat/completions",
         "/v1/embeddings", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens", "/v1/files", "/v1/files/x",
         "/v1/v1/models", "/v1/files/../x")
CHUNKS = b"1\r\nx\r\n0\r\n\r\n"
BODIES = {
    "none": (None, {}),
    "JSON": (asked(), {}),
    "text": (b"x", {}),
    "long": (b"x" * 100_000, {}),
    "chunks": (None, {"transfer_encoding": "chunked"}),
    "expected": (b"x", {"expect": "100-continue"}),
    "too long": (b"x", {"content_length": str(1 << 50)}),
}


@pytest.mark.parametrize("key", [KEY, None], ids=["key", "no key"])
@pytest.mark.parametrize("name", BODIES)
def test_every_combination_is_answered(edge: Gateway, name: str, key: str | None) -> None:
    """An answer comes to each, none of them an error of the gateway's own, and the gateway lives on."""
    body, fields = BODIES[name]
    for method, path in itertools.product(METHODS, PATHS):
        data = request(body, path=path, method=method, key=key, **fields) + (CHUNKS if name == "chunks" else b"")
        with Talk(edge.port) as talk:
            found = talk.send(data).answer(method)
        assert found.status < 600 and found.header("x-edge-condition") != "internal_error", (method, path, found)
        assert key is not None or not path.startswith("/v1/") or found.status >= 400, (method, path, found)
