"""What providers ask for their models, of the list that is shipped (`make prices`), in points of a declared worth."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from decimal import ROUND_CEILING, Decimal
from functools import cache
from pathlib import Path

from edge.config.report import Report
from edge.config.sections.points import Points
from edge.values.patterns import covers
from edge.values.snapshot import Listing, Model, Prices

FILE = Path(__file__).parents[1] / "list_prices.tsv"
CURRENCY = "USD"            # in which it is
AT = ("points", "list_prices")


@cache
def rows() -> tuple[tuple[str, ...], ...]:
    """Whose list it is, a name or a pattern, and four prices: see the file's head."""
    lines = FILE.read_text(encoding="ascii").splitlines()
    return tuple(tuple(line.split("\t")) for line in lines if not line.startswith("#"))


def list_prices(report: Report, points: Points, providers: Collection[str]) -> tuple[Listing, ...]:
    """Of the providers that are said to ask what one of the list does."""
    known = sorted({row[0] for row in rows()}) if points.list_prices else []
    for provider, name in points.list_prices.items():
        if provider not in providers:
            report.problem((*AT, provider), f"there is no provider {provider}", report.suggest(provider, providers))
        if name not in known:
            report.problem((*AT, provider), f"the list knows no {name}", f"it knows {', '.join(known)}")
    if known and (not points.worth or points.currency != CURRENCY):
        report.problem(AT, f"is in {CURRENCY}, and a point is worth none", "set points.worth, and points.currency: "
                       f"{CURRENCY}")
        return ()
    return tuple(Listing(provider, tuple(made(name, points.worth)))
                 for provider, name in points.list_prices.items())


def made(name: str, worth: int) -> Iterator[Prices]:
    """A list in points, each of so many millionths of a dollar: no price is rounded down."""
    for provider, pattern, *cells in rows():
        if provider == name:
            # A dollar for a million tokens is a millionth of one for a token, and for 1000 requests a thousandth.
            prices = [None if not cell else int((Decimal(cell) * unit * 10**6 / worth).to_integral_value(ROUND_CEILING))
                      for cell, unit in zip(cells, (1, 1, 1, 1000), strict=True)]
            asked, cached, answered, request = prices
            yield Prices(pattern, asked or 0, (asked or 0) if cached is None else cached, answered or 0, request or 0)


def check(report: Report, lists: Sequence[Listing], models: Sequence[Model], priced: Collection[str]) -> None:
    """A model that is named singly, and that neither a list nor `prices` knows, would cost nobody anything."""
    for model in models:
        places = [(each, target) for target in model.targets for each in lists if each.provider == target.provider]
        if "*" not in model.name and model.name not in priced and places and not any(
                covers(row.model, target.model or model.name) for each, target in places for row in each.prices):
            report.problem(AT, f"has no price of the model {model.name}", f"set prices.{model.name}")
