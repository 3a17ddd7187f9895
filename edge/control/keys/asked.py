"""What an admin asks for, read from the body of a request and checked: by the configuration's own rules and words."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson
from starlette.requests import Request

from edge._fast import Condition, Slot
from edge.control.circuits import mistyped
from edge.control.keys.changes import OVERLAP, Wanted, invalid
from edge.control.refusal import Refusal
from edge.values.parties import KINDS

DEPTH = 5                   # levels of a body
LABELS = 32                 # tags of a key, and entries of its metadata
LABEL = 64                  # characters of a tag, and of a name in metadata
TEXT = 512                  # characters of a value in metadata
LONGEST_OVERLAP = 30 * 86400.0
OWN = ("metadata", "tags")  # what keys of the file do not have, beside who stands behind them
_WAYS_OUT = {"name": "a key keeps its name: make another", "state": "POST to the key's freeze, unfreeze, enable, "
             "disable or revoke", "disabled": "POST to the key's disable or enable"}
_TAG = re.compile(r'"([0-9]{1,18})"')
_PLACE = "keys[0]"          # of the key that is checked, in words of the configuration


async def body(request: Request, depth: int | None = DEPTH) -> dict[str, Any]:
    """The JSON object, of so many levels at most; an empty body is one without members."""
    raw = await request.body()
    try:
        said = orjson.loads(raw) if raw.strip() else {}
    except orjson.JSONDecodeError as error:
        raise Refusal(Condition.json_invalid, {Slot.S_REASON: str(error)}) from None
    if not isinstance(said, dict):
        raise mistyped("body", "a JSON object", said)
    if depth is None:                   # whatever a client and a provider say to each other is in it
        return said
    level: list[Any] = [said]
    for _ in range(depth):
        level = [each for value in level if isinstance(value, dict | list)
                 for each in (value.values() if isinstance(value, dict) else value)]
    if level:
        raise invalid("body", f"has more than {depth} levels", "see docs/keys.md for what a key is made of")
    return said


def wanted(name: str, before: Wanted, said: Mapping[str, Any]) -> Wanted:
    """`before` with what is said: a member replaces the one of its name, null takes it out (RFC 7396)."""
    for fixed in ("name", "state", "disabled", "key", "hash"):
        if fixed in said:
            raise invalid(fixed, "cannot be set", _WAYS_OUT.get(fixed, "keys made here get a secret of their own"))
    _known(said)
    policy = merged(before.policy, {name: value for name, value in said.items() if name not in OWN})
    if policy.get("rate_limit") == {}:          # its last number was taken out
        del policy["rate_limit"]
    for kind in KINDS:
        if kind in policy and not _label(policy[kind]):
            raise invalid(kind, "must be a name", f"`edge {kind}s list` shows those that there are")
    checked(name, {field: value for field, value in policy.items() if field not in KINDS})
    tags = said.get("tags", list(before.tags))
    return Wanted(policy, metadata(before, said), _tags([] if tags is None else tags))


def _known(said: Mapping[str, Any]) -> None:
    """What is taken out has a name that there is: to unset `expire` is to leave `expires` as it was."""
    from edge.config.sections.keys import ClientKey, KeyRateLimit

    limits = said.get("rate_limit")
    levels = [("", said, {*ClientKey.model_fields, *OWN, *KINDS})]
    if isinstance(limits, dict):
        levels.append(("rate_limit.", limits, {*KeyRateLimit.model_fields}))
    for place, given, fields in levels:
        only((name for name, value in given.items() if value is None), sorted(fields), place)


def only(said: Iterable[str], fields: Collection[str], at: str = "") -> None:
    """Refusal: it says something that there is not; `at` is what it stands in."""
    for field in said:
        if field not in fields:
            raise invalid(f"{at}{field}", "is not a known key",
                          f"there {'are' if len(fields) > 1 else 'is'}: {', '.join(fields)}")


def new(said: dict[str, Any]) -> Any:
    """Takes out the name of what is to be made. Refusal: it has none."""
    name = said.pop("name", None)
    if name is None:
        raise Refusal(Condition.field_missing, {Slot.S_FIELD: "name"})
    return name


def merged(before: Mapping[str, Any], said: Any) -> Any:
    """A merge patch."""
    if not isinstance(said, dict):
        return said
    made = dict(before)
    for name, value in said.items():
        if value is None:
            made.pop(name, None)
        else:
            inner = made.get(name)
            made[name] = merged(inner if isinstance(inner, dict) else {}, value)
    return made


def checked(name: str, policy: Mapping[str, Any]) -> None:
    """Return, or raise the Refusal with every problem, if the file could not have such a key."""
    from edge.config import shape  # what checks is large, and most controls never need it
    from edge.config.building.clients import clients
    from edge.config.building.references import Secrets
    from edge.config.layers import Layers
    from edge.config.report import Report

    layers = Layers("the body")
    stand_in = {"name": name, "hash": f"blake2b:{0:064}"}
    layers.data = {"port": 0, "listen_addr": "127.0.0.1", "providers": {}, "keys": [{**policy, **stand_in}]}
    report = Report(layers)
    settings = shape.check(report)
    clients(report, settings.keys, Secrets(report, Path(), {}), None)
    if not report.problems:
        return
    told = [{"field": each.key.removeprefix(_PLACE).removeprefix(".") or "body", "message": each.message,
             "way_out": each.way_out} for each in report.problems]
    refusal = invalid(*told[0].values())
    refusal.beside = {"problems": told}
    raise refusal


def overlap(said: Mapping[str, Any]) -> float:
    """Of a rotation, in seconds."""
    only(said, ("overlap",))
    seconds = said.get("overlap", OVERLAP)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST_OVERLAP:
        raise invalid("overlap", f"must be a number of seconds from 0 to {LONGEST_OVERLAP:.0f}",
                      "for example 3600; 0 ends the former secret at once")
    return float(seconds)


def number(request: Request, name: str, usual: int, most: int) -> int:
    """A whole number of the query."""
    text = request.query_params.get(name, str(usual))
    if not (text.isascii() and text.isdigit() and len(text) < 19 and 1 <= int(text) <= most):
        raise invalid(name, f"must be a whole number from 1 to {most}", f"for example {name}={usual}")
    return int(text)


def versions(request: Request) -> frozenset[int] | None:
    """Of If-Match (RFC 9110 section 13.1.1); None: any."""
    field = request.headers.get("if-match")
    if field is None or field.strip() == "*":
        return None
    tags = [tag.strip() for tag in field.split(",")]
    return frozenset(int(found[1]) for tag in tags if (found := _TAG.fullmatch(tag)))


def metadata(before: Wanted, said: Mapping[str, Any]) -> Mapping[str, str]:
    """What is there with what is said."""
    wanted = said.get("metadata", {})
    value = {} if wanted is None else merged(before.metadata, wanted)
    good = isinstance(value, dict) and len(value) <= LABELS and all(
        _label(name) and isinstance(text, str) and len(text) <= TEXT and text.isprintable()
        for name, text in value.items())
    if not good:
        raise invalid("metadata", f"must be a mapping of at most {LABELS} names of up to {LABEL} characters to texts "
                      f"of up to {TEXT}, all printable", 'for example {"team": "search"}')
    return dict(value)


def _tags(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > LABELS or not all(map(_label, value)):
        raise invalid("tags", f"must be a list of at most {LABELS} texts of up to {LABEL} printable characters",
                      'for example ["production"]')
    return tuple(dict.fromkeys(value))


def _label(text: Any) -> bool:
    return isinstance(text, str) and 1 <= len(text) <= LABEL and text.isprintable()
