"""What requests cost, in points, and what a point is worth."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge.config.sections.base import Count, Name, Strict, Text, about

# So high that no request's cost, nor its worth, leaves 63 bits: MOST_TOKENS of permit.pxi each way.
Price = Annotated[int, Field(ge=0, le=10**9)]
Fee = Annotated[int, Field(ge=0, le=10**15)]
Worth = Annotated[int, Field(ge=0, le=10**8)]
Quota = Annotated[int, Field(ge=1, le=10**12)]


class Prices(Strict):
    """What requests for a model cost, in millionths of a point. What is left out costs nothing."""

    input: Annotated[Price, about("millionths of a point for a token of the request", 250)] = 0
    cached_input: Annotated[Price | None, about(
        "for one that the provider had cached; as `input` unless set", 25)] = None
    output: Annotated[Price, about("for a token of the answer", 2000)] = 0
    request: Annotated[Fee, about("for the request itself", 1000)] = 0
    cache_hit: Annotated[Fee, about("for an answer from the response cache, in place of all these", 100)] = 0
    most_output: Annotated[Count, about(
        "tokens of an answer that are reserved where a request does not say how long it may be", 4096)] = 4096


class Points(Strict):
    """What a point is in money, and where it is noted who has spent any."""

    worth: Annotated[Worth, about("millionths of the currency for a point; 0: it is told in points alone", 10000)] = 0
    ledger_days: Annotated[Annotated[int, Field(ge=1, le=36500)], about(
        "days that the ledger keeps an entry of each request; credits and sums by the hour stay", 90)] = 400
    list_prices: Annotated[dict[str, Name], about(
        "which of our providers ask what the shipped list says of one: their models cost that unless `prices` has them",
        {"openai": "openai", "anthropic": "anthropic"})] = {}
    journals: Annotated[Text | None, about(
        "the folder of what requests have cost and the store does not have yet; unless set beside the store's file, or "
        "beside this one, called as PostgreSQL's database", "/var/lib/edge/points")] = None
    currency: Annotated[Annotated[str, Field(pattern=r"^[A-Z]{3}$")], about("its code (ISO 4217)", "EUR")] = "USD"
