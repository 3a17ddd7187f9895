"""What the simulated model says: the same for the same prompt, and with the prompt's words in it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

WORDS = (
    "amber", "basin", "candle", "delta", "ember", "forest", "garden", "harbor", "island", "juniper", "kernel",
    "lantern", "meadow", "needle", "orchard", "pepper", "quartz", "river", "saddle", "timber", "umbra",
    "valley", "willow", "yarrow", "zephyr", "anchor", "bridge", "copper", "dragon", "engine")
ECHOED = 8          # words of the prompt that the answer repeats
BIG_PIECE = 1024    # bytes of a piece of a text whose length was asked for


@dataclass(frozen=True, slots=True)
class Text:
    """An answer's text in pieces of one token each; `finish` is `stop`, or `length` at the client's bound."""

    pieces: tuple[str, ...]
    finish: str

    @property
    def whole(self) -> str:
        """The pieces as one text."""
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
        line = " ".join(WORDS) + " "
        piece = (line * (BIG_PIECE // len(line) + 1))[:BIG_PIECE]
        count, rest = divmod(big, BIG_PIECE)        # one piece again and again: many long answers take little memory
        return Text((piece,) * count + ((piece[:rest],) if rest else ()), "stop")
    count = tokens if bound is None else min(tokens, bound)
    pieces = ["You", " said", ":", *(f" {word}" for word in prompt.split()[-ECHOED:])][:count]
    more = words(seed)
    pieces.extend(f" {next(more)}" for _ in range(count - len(pieces)))
    return Text(tuple(pieces), "stop" if count == tokens else "length")


def plain(content: Any) -> str:
    """The text in a message's content: a string, or a list of parts, whose types vary by dialect."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return plain(content.get("text") or content.get("content"))
    return " ".join(map(plain, content)) if isinstance(content, list) else ""


def last_user(messages: list[Any]) -> str:
    """The text of the last message of the user; of the last message when the user said nothing."""
    said = [message for message in messages if isinstance(message, dict)]
    users = [message for message in said if message.get("role") == "user"]
    return plain((users or said or [{}])[-1].get("content"))


def prompts(given: Any) -> list[str]:
    """The texts of an `input` or `prompt`: a string, a list of them, token numbers, or a list of those."""
    if isinstance(given, list) and given and all(isinstance(part, str) for part in given):
        return given
    if isinstance(given, list) and given and all(isinstance(part, list) for part in given):
        return [" ".join(map(str, part)) for part in given]
    return [given if isinstance(given, str) else " ".join(map(str, given or []))]


def count(*texts: str) -> int:
    """An estimate of tokens as providers bill them: words and marks, long words in pieces of four letters."""
    return sum(-(-len(part) // 4) for text in texts for part in re.findall(r"\w+|[^\w\s]", text))


def halves(text: str) -> tuple[str, str]:
    """A text in two parts, as arguments are streamed."""
    return text[:len(text) // 2], text[len(text) // 2:]
