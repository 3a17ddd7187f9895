"""Every error of shape that the schema can give is told in our own words, with no sentence of pydantic's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

import orjson
import pytest
from pydantic import BaseModel
from pydantic_core._pydantic_core import list_all_errors

from edge.config.layers import Layers
from edge.config.report import Report
from edge.config.sections.settings import Settings
from edge.config.shape import _words, check, plain

WRONG: tuple[Any, ...] = (True, 0, -1, 1, 2.5, -0.5, 1 << 40, 1 << 62, 1e300, "", "x", " ", "*", "x" * 5000,
                          [], [[]], [1], ["x"] * 100, [{}], {}, {"x": 1}, {"": {}}, {"x": []}, {"x": {"x": 1}})
BEGINNINGS = tuple(filter(None, (error["message_template_python"].partition("{")[0] for error in list_all_errors())))
ENOUGH: dict[str, Any] = {"port": 1, "listen_addr": "::1", "providers": {"a": {"kind": "openai", "base_url": "b"}},
                          "keys": [{"name": "a", "key": "env:KEY_A"}]}


def places(kind: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key of the schema, and an entry of every list and mapping."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            yield (*path, name)
            yield from places(plain(field.annotation), (*path, name))
    elif get_origin(kind) is dict:
        yield (*path, "some-name")
        yield from places(plain(get_args(kind)[1]), (*path, "some-name"))
    elif get_origin(kind) is list:
        yield (*path, 0)
        yield from places(plain(get_args(kind)[0]), (*path, 0))


def written(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """What is enough, with a value at a path."""
    made: dict[str, Any] = orjson.loads(orjson.dumps(ENOUGH))
    node: Any = made
    for step, after in zip(path, (*path[1:], None), strict=True):
        new = value if after is None else [] if isinstance(after, int) else {}
        if isinstance(node, list):
            if not node:
                node.append(new)
            elif after is None:
                node[0] = value
        elif after is None or type(node.get(step)) is not type(new):
            node[step] = new
        node = node[step]
    return made


PLACES = list(places(Settings))


def test_every_key_is_walked() -> None:
    """The walk meets the deepest keys there are."""
    assert ("providers", "some-name", "health_check", "interval") in PLACES
    assert ("models", "some-name", 0, "weight") in PLACES and ("keys", 0, "rate_limit", "burst_size") in PLACES


@pytest.mark.parametrize("path", PLACES, ids=lambda path: ".".join(map(str, path)))
def test_words(path: tuple[Any, ...]) -> None:
    """Whatever stands at a key, no message begins as one of pydantic's own does, and each has a way out."""
    for value in WRONG:
        layers = Layers("edge.yaml")
        layers.data = written(path, value)
        report = Report(layers)
        check(report)
        for problem in report.problems:
            assert problem.way_out and not problem.message.startswith(BEGINNINGS)
            assert problem.message not in ("", "cannot be used"), "a type of error without words of its own"


@pytest.mark.parametrize("error", list_all_errors(), ids=lambda error: error["type"])
def test_what_pydantic_may_come_to_say(error: dict[str, Any]) -> None:
    """A type of error that no key can give today is told in our words too, and without the value."""
    compared = {"gt", "ge", "lt", "le"} & set(error["example_context"] or {})        # and so it is a number
    said = _words(error["type"], error["example_context"] or {}, 5 if compared else "sk-secret")
    assert said and "sk-secret" not in said and not said.startswith(BEGINNINGS)
