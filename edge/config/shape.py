"""Checks the tree against `sections` and says what is wrong in an operator's words, all of it at once.

The checks in `building` need a whole model, which pydantic does not make when a single value is wrong. So each
wrong value is noted and taken out of the tree, or replaced where it is required, until the rest passes and
can be looked at. Nothing made this way is ever used, as there are problems.
"""

from __future__ import annotations

from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from edge.config.problems import INVALID, MISSING, Place, Problem
from edge.config.report import Report
from edge.config.sections.settings import Settings
from edge.config.tree import ABSENT, copied, find, leaves, present
from edge.dialects.kinds import BASE_URLS
from edge.strict_yaml import Path, dotted
from edge.strict_yaml.writing import flow

_KINDS = ((bool, "true or false"), (int, "a number"), (float, "a number"), (str, "text"), (list, "a list"),
          (dict, "a mapping"), (NoneType, "nothing"))
_WANTED = {"int_type": "a whole number", "int_from_float": "a whole number", "float_type": "a number",
           "bool_type": "true or false", "string_type": "text", "list_type": "a list",
           "dict_type": "a mapping", "model_type": "a mapping"}
# pydantic's other types of error that `sections` can meet, in our words.
_WORDS = {"greater_than": "must be more than {gt}, got {value}",
          "greater_than_equal": "must be at least {ge}, got {value}",
          "less_than_equal": "must be at most {le}, got {value}", "finite_number": "must be a finite number",
          "literal_error": "must be {expected}", "too_long": "has {actual_length} entries, at most {max_length} fit",
          "string_too_short": "is empty", "string_too_long": "is longer than {max_length} characters",
          "string_pattern_mismatch": "has not the right form", "string_unicode": "holds a character that is no text"}
# What other gateways' files have, TokenPak's first, and what it is here: another key of the same section, or elsewhere.
_RENAMED = {"api_key": "key", "api_keys": "keys", "host": "listen_addr", "url": "base_url", "api_base": "base_url",
            "model_aliases": "models", "max_retries": "max", "max_attempts": "max", "initial_backoff": "backoff"}
_ELSEWHERE = {f"{name}_{key}": f"write it as `providers: {{{name}: {{key: env:{name.upper()}_API_KEY}}}}`"
              for name in BASE_URLS for key in ("key", "api_key")}
_ELSEWHERE["api_version"] = "write it behind base_url: ?api-version=..."
_STAND_INS: dict[str, Any] = {"port": 0, "listen_addr": "127.0.0.1", "providers": {}}


def check(report: Report) -> Settings:
    """The settings in the tree; `report` then holds every problem of shape."""
    data = copied(report.layers.data)
    done: set[Path] = set()
    for unread in report.layers.unread:
        if find(data, unread.path) is not ABSENT:           # else it went with another of its mistakes
            _take_out(data, unread.path, done)
    if data.get("rate_limit", ABSENT) is None:              # the one key that says something by being there
        data["rate_limit"] = {}
    empty = [path for path, value in leaves(data) if value is None and path and isinstance(path[-1], str)]
    for path in empty:
        report.problem(path, "has no value", "give it a value, or remove the key")
        _take_out(data, path, done)
    while True:
        for path in done:
            report.broken(path)
        try:
            return Settings.model_validate(data)
        except ValidationError as wrong:
            errors = wrong.errors(include_url=False)
        paths = [tuple(step for step in error["loc"] if step != "[key]") for error in errors]
        for error, path in zip(errors, paths, strict=True):
            if not any(path[:end] in done for end in range(1, len(path) + 1)):
                report.problems.append(_problem(report, error, path))
        taken = [_take_out(data, path, done) for path in paths]
        if not any(taken):
            data = copied(_STAND_INS)


def field_at(path: Path) -> tuple[FieldInfo | None, Any]:
    """What `sections` says of a path: the field (None for an entry of a list or mapping) and its type."""
    field: FieldInfo | None = None
    kind: Any = Settings
    for step in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(step))
            if field is None:
                return None, None
            kind = plain(field.annotation)
        elif get_origin(kind) in (dict, list):
            field, kind = None, plain(get_args(kind)[-1])
        else:
            return None, None
    return field, kind


def plain(kind: Any) -> Any:
    """A type without its annotations and without `| None`."""
    while get_origin(kind) is Annotated or NoneType in get_args(kind):
        kind = next(part for part in get_args(kind) if part is not NoneType)
    return kind


def known_keys(path: Path) -> list[str]:
    """The keys of the section at a path; none where names are free."""
    kind = field_at(path)[1] if path else Settings
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def advice(path: Path) -> str:
    """The way out for a value: an example and what the key is for."""
    field, _ = field_at(path)
    if field is None:
        return advice(path[:-1]) if path else "edge config schema prints all keys"
    example = f"for example `{path[-1]}: {flow(field.examples[0])}`" if field.examples else ""
    return " - ".join(part for part in (example, field.description) if part)


def _problem(report: Report, error: ErrorDetails, path: Path) -> Problem:
    key, kind, value = dotted(path), error["type"], error["input"]
    place: Place = report.layers.place(path)
    if kind == "missing":
        return Problem(MISSING, place, key, f"Config validation failed: Missing required field '{key}'",
                       f"add it, {advice(path)}")
    if kind == "extra_forbidden":
        known, name = known_keys(path[:-1]), str(path[-1])
        renamed = _RENAMED.get(name)
        way_out = f"it is called {renamed}" if renamed in known else _ELSEWHERE.get(name) or report.suggest(name, known)
        return Problem(INVALID, place, key, "is not a known key", way_out)
    if kind == "edge":
        return Problem(INVALID, place, key, error["msg"], str(error["ctx"]["way_out"]))
    quote = kind == "string_type" and isinstance(value, bool | int | float)
    return Problem(INVALID, place, key, _words(kind, error.get("ctx", {}), value),
                   "put it in quotes" if quote else advice(path))


def _words(kind: str, context: dict[str, Any], value: Any) -> str:
    """The message. A number is repeated, a text never: it may be a secret in the wrong place."""
    if kind in _WANTED:
        got = next((name for known, name in _KINDS if isinstance(value, known)), "a value")
        return f"must be {_WANTED[kind]}, got {got}"
    shown = {name: f"{each:g}" if isinstance(each, float) else str(each).replace("'", "")
             for name, each in context.items()}
    return _WORDS.get(kind, "cannot be used").format(value=value, **shown)


def _take_out(data: dict[str, Any], path: Path, done: set[Path]) -> bool:
    """Make the tree valid at a path: by a stand-in, without the value, or without the section around it."""
    if any(path[:end] in done and find(data, path[:end]) is ABSENT for end in range(1, len(path))):
        return False                                            # went with the section around it
    done.add(path)
    if len(path) == 1 and path[0] in _STAND_INS:
        data[str(path[0])] = copied(_STAND_INS[str(path[0])])
        return True
    there = present(data, path)
    if len(there) == 2 and there[0] == "keys" and isinstance(there[1], int):
        data["keys"][there[1]] = {"name": f"stand-in-{there[1]}", "hash": f"blake2b:{there[1]:064x}"}
        return True
    while len(there) > 1 and isinstance(there[-1], int):        # indexes must not shift: the whole list goes
        there = there[:-1]
    around = find(data, there[:-1])
    if not there or not isinstance(around, dict):
        return False
    del around[there[-1]]
    done.add(there)
    return True
