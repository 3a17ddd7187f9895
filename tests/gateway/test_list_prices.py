"""List prices: models cost what their provider asks for, where the operator has said so and has no other price."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from edge.config.building.list_prices import rows
from tests.gateway.books import Books
from tests.support.gateway import Gateway, configuration
from tests.support.simulator import Simulator

MINI = (25, 3, 200)             # of gpt-5-mini, where a point is a cent: 0.25, 0.025 (rounded up) and 2 dollars
LARGE = (125, 13, 1000)         # of gpt-5
POINTS: dict[str, Any] = {"worth": 10_000, "currency": "USD", "list_prices": {"openai": "openai"}}


@pytest.fixture(scope="module")
def books(running: Simulator) -> Iterator[Books]:
    """A gateway that takes them from the list, for all that has no price of its own."""
    models: dict[str, Any] = {"fast": "openai/gpt-5-mini", "either": ["openai/gpt-5-mini", "openai/gpt-5"],
                              "own": "openai/gpt-5", "own-*": "openai/gpt-5", "gpt-*": "openai"}
    with Gateway(configuration(running.url, store="edge.db", points=POINTS, models=models, prices={
            "own": {"request": 7}, "own-*": {"request": 8}})) as edge:
        yield Books(edge)


@pytest.mark.parametrize(("model", "prices"), [
    ("fast", MINI), ("gpt-5-mini", MINI), ("gpt-5-mini-2025-08-07", MINI), ("gpt-5", LARGE), ("either", LARGE)])
def test_what_a_model_costs(books: Books, model: str, prices: tuple[int, int, int]) -> None:
    """It costs what the list says of the model that the provider is asked for; the dearest that it may be."""
    key = books.key(model, points=10)
    assert books.ask(key, model=model, max_tokens=10).status == 200
    [(points, tokens, cached, output, _, _)] = books.costs(model)
    assert tokens > 0 and output > 0
    assert points == (tokens - cached) * prices[0] + cached * prices[1] + output * prices[2]


@pytest.mark.parametrize(("model", "points"), [("own", 7), ("own-1", 8), ("gpt-nobody-knows", 0)])
def test_what_goes_before_it(books: Books, model: str, points: int) -> None:
    """The operator's own prices go before the list, and what neither knows costs nothing."""
    key = books.key(model, points=10)
    assert books.ask(key, model=model).status == 200
    books.edge.wait(lambda: [cost for cost, *_ in books.costs(model)] == [points])


@pytest.mark.parametrize(("changes", "words"), [
    ({"points": {**POINTS, "currency": "EUR"}}, ("points.list_prices", "USD")),
    ({"points": {**POINTS, "worth": 0}}, ("points.list_prices", "points.worth")),
    ({"points": {**POINTS, "list_prices": {"openai": "opanai"}}}, ("points.list_prices.openai", "openrouter")),
    ({"points": {**POINTS, "list_prices": {"opanai": "openai"}}}, ("points.list_prices.opanai", "no provider")),
    ({"models": {"new": "openai/gpt-99"}}, ("model new", "prices.new"))])
def test_what_cannot_be(books: Books, changes: dict[str, Any], words: tuple[str, str]) -> None:
    """A list that cannot be used, and a model without a price, are told with the place and the way out, and nothing
    changes."""
    before = books.edge.file.read_bytes()
    found = books.edge.reload({**orjson.loads(before), "prices": {}, **changes})
    books.edge.file.write_bytes(before)
    assert found.status_code == 500 and all(word in found.text for word in words), found.text
    assert books.ask(books.key(f"after-{abs(hash(words))}", points=10), model="own").status == 200


def test_the_list() -> None:
    """Each row is of a provider, a name or a pattern, and prices that can be read; none is there twice."""
    assert len({row[:2] for row in rows()}) == len(rows()) > 1000
    for _, pattern, *prices in rows():
        assert len(prices) == 4 and pattern.strip("*") and any(prices)
        assert all(0 <= float(each) < 10**4 for each in prices if each)
