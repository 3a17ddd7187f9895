"""Limits of a minute, as tests set and see them."""

from __future__ import annotations

from tests.gateway import client
from tests.gateway.client import Answer, ask
from tests.support.gateway import Gateway

LIMIT = 600             # tokens a minute: ten come back each second


def left(gateway: Gateway, kind: str = "tokens", flying: int = 0) -> int:
    """What is left of the key's minute, once no more than these are on their way."""
    gateway.wait(lambda: gateway.metric("edge_requests_in_flight") == flying)
    told = ask(gateway.port, client.request(path="/stats", method="GET"))
    return int(told.json()["minute"][kind]["left"])


def used(found: Answer) -> dict[str, int]:
    """The tokens that an answer of the OpenAI dialect says it used, by what limits count."""
    usage = found.json()["usage"]
    return {"tokens": usage["total_tokens"], "input_tokens": usage["prompt_tokens"],
            "output_tokens": usage["completion_tokens"]}
