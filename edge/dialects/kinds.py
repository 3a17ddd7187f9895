"""The kinds of providers, and what each wants where the configuration says nothing."""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal["openai", "anthropic"]
KINDS: tuple[Kind, ...] = get_args(Kind)

BASE_URLS: dict[Kind, str] = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}

# The header that carries a provider's key.
KEY_HEADERS: dict[Kind, str] = {"openai": "authorization", "anthropic": "x-api-key"}
