"""What an answer of the response cache is called: by whose it is, and by what of the request an answer depends on."""

from __future__ import annotations

import hashlib

import orjson

SIZE = 16                   # bytes of a name
LONGEST = 1 << 20           # bytes of a body that is read for it: objects take many times as much


def owner(digest: bytes, account: tuple[int, str] | None) -> str:
    """Who shares an answer: the keys of an account, by its number and name; a key without one shares with nobody.

    A key is its secret: the next one of its name may be somebody else's. So may an account of the same number be, where
    the store is another one than before.
    """
    return f"key {digest.hex()}" if account is None else "account {} {}".format(*account)


def name(owned_by: str, route: str, model: bytes, marks: bytes, body: memoryview | bytes) -> bytes:
    """Of a request's answer. How its JSON is spaced, and in which order members stand, makes no other request of it.

    `marks` are what besides the body changes what a provider answers (anthropic-beta, say).
    """
    text = bytes(body)
    said = plain(text) if len(text) <= LONGEST else text
    digest = hashlib.blake2b(digest_size=SIZE)
    for part in (owned_by.encode(), route.encode(), model, marks, said):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def plain(text: bytes) -> bytes:
    """JSON as all would write it who say the same; as it is, where it does not say one thing to everybody.

    That is so where a member is there twice. Each that is left out takes a comma along, and no other comma goes or
    comes but for those that were escaped: as many as before, and nothing was left out.
    """
    try:
        said = orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONDecodeError, TypeError):     # right, but too deep, or with too large a number
        return text
    escaped = text.count(b"\\u002c") + text.count(b"\\u002C")
    return said if said.count(b",") == text.count(b",") + escaped else text
