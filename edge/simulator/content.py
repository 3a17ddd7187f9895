"""What the simulated model says: the same for the same prompt, and with the prompt's words in it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

WORDS = (
    "amber basin candle delta ember forest garden harbor island juniper kernel lantern meadow needle orchard "
    "pepper quartz river saddle timber umbra valley willow yarrow zephyr anchor bridge copper dragon engine"
).split()
ECHOED = 8          # words of the prompt that the answer repeats
BIG_PIECE = 1024    # bytes of a piece of a text whose length was asked for


@dataclass(frozen=True, slots=True)
class Text:
    """An answer's text in pieces of one token each, and why it ends: `stop`, or `length` at the client's bound."""

    pieces: tuple[str, ...]
    finish: str

    @property
    def whole(self) -> str:
        return "".join(self.pieces)


def digest(*parts: str) -> bytes:
    """32 bytes that depend on every part alone."""
    return hashlib.blake2b("\0".join(parts).encode(errors="replace"), digest_size=32).digest()


def words(seed: bytes) -> Iterator[str]:
    """Endless words; the same seed gives the same ones."""
    while True:
        yield from (WORDS[byte % len(WORDS)] for byte in seed)
        seed = hashlib.blake2b(seed, digest_size=32).digest()


def say(prompt: str, seed: bytes, tokens: int, bound: int | None, big: int = 0) -> Text:
    """An answer to `prompt` of `tokens` tokens, or of `big` bytes, at most `bound` tokens long."""
    if big:
        line = (" ".join(WORDS) + " ").encode()
        whole = (line * (big // len(line) + 1))[:big].decode()
        return Text(tuple(whole[at:at + BIG_PIECE] for at in range(0, big, BIG_PIECE)), "stop")
    count = tokens if bound is None else min(tokens, bound)
    pieces = ["You", " said", ":", *(f" {word}" for word in prompt.split()[-ECHOED:])][:count]
    more = words(seed)
    pieces.extend(f" {next(more)}" for _ in range(count - len(pieces)))
    return Text(tuple(pieces), "stop" if count == tokens else "length")


def plain(content: Any) -> str:
    """The text in a message's content: a string, or the text parts of a list (their type varies by dialect)."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(plain(part.get("text") or part.get("content")) if isinstance(part, dict) else plain(part)
                        for part in content)
    return ""


def last_user(messages: list[Any]) -> str:
    """The text of the last message of the user; of the last message when the user said nothing."""
    said = [message for message in messages if isinstance(message, dict)]
    users = [message for message in said if message.get("role") == "user"]
    return plain((users or said or [{}])[-1].get("content"))


def count(*texts: str) -> int:
    """An estimate of tokens as providers bill them: words and marks, long words in pieces of four letters."""
    return sum(-(-len(part) // 4) for text in texts for part in re.findall(r"\w+|[^\w\s]", text))


def example(schema: Any, depth: int = 0) -> Any:
    """A small value that fits a JSON schema, as far as tools' parameters use it."""
    if not isinstance(schema, dict) or depth > 8:
        return None
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        return {name: example(part, depth + 1) for name, part in schema.get("properties", {}).items()}
    simple = {"string": "example", "integer": 1, "number": 1.5, "boolean": True, "array": []}
    return simple.get(kind) if isinstance(kind, str) else None
