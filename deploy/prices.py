"""Writes edge/config/list_prices.tsv anew, of the package genai-prices: `make prices`.

https://github.com/pydantic/genai-prices (MIT) keeps what providers ask for, by hand and with sources. Of it we take
what edge can bill: tokens of requests, cached ones among them, and of answers, and single requests, as they are now,
for standard service. Where a price grows with a request's length, it is that of short ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genai_prices.data import providers

FILE = Path(__file__).parents[1] / "edge/config/list_prices.tsv"
HEAD = """\
# What providers ask for, in dollars for a million tokens; what is left out is unknown. Made by `make prices`.
# Source: genai-prices {version}, https://github.com/pydantic/genai-prices: MIT License,
# Copyright (c) Pydantic Services Inc. 2025 to present
# provider, name or pattern (the first that fits counts), input, cached input, output, and dollars for 1000 requests
"""


def patterns(match: Any) -> Iterator[str]:
    """Of what a model's names are like, as far as a `*` can say it."""
    said = vars(match)
    if "or_" in said:
        for each in said["or_"]:
            yield from patterns(each)
    for word, pattern in (("equals", "{}"), ("starts_with", "{}*"), ("ends_with", "*{}"), ("contains", "*{}*")):
        if word in said and "*" not in said[word] and said[word].isprintable():
            yield pattern.format(said[word])


def price(model: Any) -> Any:
    """The one in force: the last that has begun, of those that hold all day."""
    if not isinstance(model.prices, list):
        return model.prices
    today = datetime.now(UTC).date()
    found = [each.prices for each in model.prices
             if each.constraint is None or getattr(each.constraint, "start_date", today.max) <= today]
    return found[-1] if found else model.prices[0].prices


def number(value: Any) -> str:
    """A price as it is written; nothing for none."""
    value = getattr(value, "base", value)
    return "" if value is None else f"{Decimal(value).normalize():f}"


def rows() -> Iterator[str]:
    """All of it: exact names before patterns."""
    for provider in sorted(providers, key=lambda each: each.id):
        found: dict[str, str] = {}
        for model in provider.models:
            asked = price(model)
            cells = [number(getattr(asked, name, None)) for name in (
                "input_mtok", "cache_read_mtok", "output_mtok", "requests_kcount")]
            for pattern in patterns(model.match) if any(cells) else ():
                found.setdefault(pattern, "\t".join((provider.id, pattern, *cells)))
        yield from (found[pattern] for pattern in sorted(found, key=lambda each: ("*" in each, -len(each), each)))


if __name__ == "__main__":
    FILE.write_text(HEAD.format(version=version("genai-prices")) + "".join(f"{row}\n" for row in rows()))
