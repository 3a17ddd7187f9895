"""Gateway keys: made here, kept as keyed hashes only."""

from __future__ import annotations

import hashlib
import secrets

from edge.values.snapshot import Secret

PREFIX = "sk-"
MIN_KEY = 16                # characters; `generate` makes 46
MAX_KEY = 512               # longer ones are not looked up (admit.pxi)
MIN_SECRET, MAX_SECRET = 16, 64     # bytes; 64 is the longest key of BLAKE2b (RFC 7693, 2.1)


def digest(key: str | bytes, secret: Secret | None) -> bytes:
    """32 bytes: BLAKE2b-256 of a gateway key, keyed with the gateway's `key_secret` where there is one."""
    data = key.encode() if isinstance(key, str) else key
    return hashlib.blake2b(data, digest_size=32, key=secret.reveal().encode() if secret else b"").digest()


def hashed(key: str | bytes, secret: Secret | None) -> str:
    """The digest as the file has it."""
    return f"blake2b:{digest(key, secret).hex()}"


def generate() -> str:
    """A new key: `sk-` and 43 URL-safe characters, 256 bits from the system's generator."""
    return PREFIX + secrets.token_urlsafe(32)


def fault(key: str) -> str | None:
    """Why a text cannot be a gateway key; None: it can. A header carries it, so visible ASCII only."""
    if len(key) < MIN_KEY:
        return f"is shorter than {MIN_KEY} characters"
    if len(key) > MAX_KEY:
        return f"is longer than {MAX_KEY} characters"
    if not all("!" <= character <= "~" for character in key):
        return "holds a blank or a character beyond ASCII"
    return None
