"""What an answer of the response cache is called: by whose it is, and by what of the request an answer depends on."""

from __future__ import annotations

import hashlib

import orjson

SIZE = 16                   # bytes of a name


def owner(key: str, account: int) -> str:
    """Who shares an answer: the keys of an account; a key without one shares with nobody."""
    return f"account {account}" if account > 0 else f"key {key}"


def name(owned_by: str, route: str, model: bytes, marks: bytes, body: memoryview | bytes) -> bytes:
    """Of a request's answer. How its JSON is spaced, and in which order members stand, makes no other request of it.

    `marks` are the fields besides that change what a provider answers (anthropic-beta, say).
    """
    try:
        said = orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)
    except orjson.JSONDecodeError:      # right, but with a number that is too large for this
        said = bytes(body)
    digest = hashlib.blake2b(digest_size=SIZE)
    for part in (owned_by.encode(), route.encode(), model, marks, said):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()
