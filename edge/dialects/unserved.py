"""Interfaces that clients of LLMs know and that are not done here: they are answered with 501, not as paths that there
are not. An operator's own `routes` come first."""

from __future__ import annotations

import re

# The path, where a * is one segment, and what it is of. What is below a path is of the same, but for those with a $.
INTERFACES: tuple[tuple[str, str], ...] = (
    ("/v1/realtime", "the Realtime API"),
    ("/v1/assistants", "the Assistants API; POST /v1/responses has taken its place"),
    ("/v1/threads", "the Assistants API; POST /v1/responses has taken its place"),
    ("/v1/chatkit", "the ChatKit API"),
    ("/v1/edits", "the Edits API; POST /v1/chat/completions has taken its place"),
    ("/v1/engines", "the Engines API; POST /v1/chat/completions has taken its place"),
    ("/v1/answers", "the Answers API; POST /v1/chat/completions has taken its place"),
    ("/v1/organization", "OpenAI's administration of organizations"),
    ("/v1/organizations", "Anthropic's administration of organizations"),
    ("/v1/complete$", "Text Completions; POST /v1/messages has taken its place"),
    ("/v1/rerank$", "reranking; an operator relays it to a provider that does it by `routes`"),
    ("/v2/rerank$", "reranking; an operator relays it to a provider that does it by `routes`"),
    ("/v2/chat$", "Cohere's API"),
    ("/v2/embed$", "Cohere's API"),
    ("/v1beta/models", "Gemini's own API; its OpenAI form is a provider of kind openai"),
    ("/v1/projects/*/locations", "Vertex AI's own API; its OpenAI form is a provider of kind openai"),
    ("/model/*/invoke", "Bedrock's own API; its OpenAI form is a provider of kind openai"),
    ("/model/*/invoke-with-response-stream", "Bedrock's own API; its OpenAI form is a provider of kind openai"),
    ("/model/*/converse", "Bedrock's own API; its OpenAI form is a provider of kind openai"),
    ("/model/*/converse-stream", "Bedrock's own API; its OpenAI form is a provider of kind openai"),
)


def _pattern(path: str) -> re.Pattern[bytes]:
    text = re.escape(path.removesuffix("$")).replace(r"\*", "[^/]+")
    return re.compile(f"{text}{'/?' if path.endswith('$') else '(?:/.*)?'}".encode(), re.DOTALL)


_PATTERNS = tuple((_pattern(path), what) for path, what in INTERFACES)


def interface(path: bytes) -> str | None:
    """Which of them a path is of; None: of none."""
    return next((what for pattern, what in _PATTERNS if pattern.fullmatch(path)), None)
