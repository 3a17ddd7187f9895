"""A provider's own error, whatever its shape -> what it means: provider_errors.yaml, compiled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from edge import strict_yaml
from edge._fast import Condition
from edge.contract.held import Held

LOOKED_AT = 1 << 16         # bytes of a body
LONGEST_MESSAGE = 2048      # characters
LONGEST_NAME = 64

_FILE = Path(__file__).with_name("provider_errors.yaml")
_BEGAN_WELL = 200
_STATUSES = (_BEGAN_WELL, *range(300, 600))
# Members that lead from an object to the one that says more, members that name an error, and members that tell it.
_INSIDE = ("error", "response", "innererror", "details", "detail", "errors", "message")
_NAMES = ("code", "type", "status", "reason", "error_type", "statusCode")
_TEXTS = ("message", "error", "detail", "msg")
_DEEPEST = 6


class Verdict(NamedTuple):
    """What an error means. `message` is the provider's, at most 2048 characters; `kind` its name for the error.

    `doubtful`: it refuses our key, perhaps for what was asked for, so that others may do well with the same key.
    """

    condition: int
    message: str | None
    kind: str | None
    doubtful: bool


class Details(NamedTuple):
    """An error's own status, type and code, None where it gives none."""

    status: int | None
    type: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class _Error:
    """An error as far as it could be read: `names` bare of punctuation, `said` in lower case, any text if no JSON."""

    names: frozenset[str]
    statuses: tuple[int, ...]
    said: str
    message: str | None
    kind: str | None


@dataclass(frozen=True, slots=True)
class _Rule:
    condition: int
    named: frozenset[str] | None
    says: re.Pattern[str] | None
    doubtful: bool

    def fits(self, error: _Error) -> bool:
        return ((self.named is None or not self.named.isdisjoint(error.names))
                and (self.says is None or self.says.fullmatch(error.said) is not None))


Rules = dict[int, tuple[_Rule, ...]]


def classify(status: int, body: bytes) -> Verdict:
    """What an answer of 300 to 599 means, or with 200 an error object: a whole body, or the data of one event.

    Never raises, and looks at the first 64 KB. The condition is one of upstream's, or the client's.
    """
    error = _read(body[:LOOKED_AT])
    if status < 300:
        status = next((given for given in error.statuses if 400 <= given <= 599), _BEGAN_WELL)
    known = rules()
    rule = next(rule for rule in known.get(status, known[500]) if rule.fits(error))
    return Verdict(rule.condition, error.message, error.kind, rule.doubtful)


def details(body: bytes) -> Details:
    """What an error object that came inside a good answer gives besides its message. Never raises."""
    text = body[:LOOKED_AT].decode("utf-8-sig", "replace")
    try:
        layers = _layers(orjson.loads(text))
    except ValueError:
        layers = []
    owner = next((layer for layer in layers if _told(layer)), (layers or [{}])[-1])
    kind, code = owner.get("type"), owner.get("code")
    code = str(code) if isinstance(code, int) and not isinstance(code, bool) else code
    status = next((status for status in _read(body[:LOOKED_AT]).statuses if 400 <= status <= 599), None)
    return Details(status, kind[:LONGEST_NAME] if isinstance(kind, str) and kind != "error" else None,
                   code[:LONGEST_NAME] if isinstance(code, str) and code else None)


@Held
def rules() -> Rules:
    """The rules that there are for each status, in their order."""
    found: dict[int, list[_Rule]] = {status: [] for status in _STATUSES}
    for entry in strict_yaml.load(_FILE.read_text("utf-8"), _FILE.name).data["rules"]:
        named, says = entry.get("named"), entry.get("says")
        rule = _Rule(Condition[entry["condition"]], frozenset(map(_bare, named)) if named else None,
                     _one_of(says) if says else None, entry.get("doubtful", False))
        for status in _named_statuses(entry.get("status", _STATUSES)):
            found[status].append(rule)
    return {status: tuple(rules) for status, rules in found.items()}


def _named_statuses(given: Any) -> Iterator[int]:
    """Numbers as they are, 4xx as all of its class."""
    for each in given:
        if isinstance(each, int):
            yield each
        else:
            first = int(each.removesuffix("xx")) * 100
            yield from range(first, first + 100)


def _one_of(texts: list[str]) -> re.Pattern[str]:
    globs = (".*".join(re.escape(part) for part in text.lower().split("*")) for text in texts)
    return re.compile("|".join(globs), re.DOTALL)


def _bare(name: str) -> str:
    """A name without case and punctuation."""
    return "".join(filter(str.isalnum, name.lower()))


def _read(body: bytes) -> _Error:
    text = body.decode("utf-8-sig", "replace")
    try:
        layers = _layers(orjson.loads(text))
    except ValueError:
        return _Error(frozenset(), (), text[:LONGEST_MESSAGE].lower(), None, None)
    names = [str(layer[key]) for layer in layers for key in _NAMES if isinstance(layer.get(key), str | int)]
    names = [name for name in names if len(name) <= 2 * LONGEST_NAME]
    statuses = tuple(int(name) for name in names if len(name) == 3 and name.isascii() and name.isdigit())
    message, owner = next(((told, layer) for layer in layers if (told := _told(layer))), ("", (layers or [{}])[-1]))
    message = message[:LONGEST_MESSAGE]
    return _Error(frozenset(map(_bare, names)), statuses, message.lower(), message or None, _kind(owner))


def _layers(node: Any) -> list[dict[str, Any]]:
    """The objects of an error, from the outermost to the innermost; of a list the first."""
    found: list[dict[str, Any]] = []
    while len(found) < _DEEPEST:
        if isinstance(node, list):
            node = node[0] if node else None
        if isinstance(node, str):
            node = {"message": node}
        if not isinstance(node, dict):
            break
        found.append(node)
        node = next((node[key] for key in _INSIDE if isinstance(node.get(key), dict | list)), None)
    return found


def _told(layer: dict[str, Any]) -> str | None:
    """An object's own words; those of a validator with the place that they are about."""
    for key in _TEXTS:
        text = layer.get(key)
        if isinstance(text, str) and text.strip():
            place = layer.get("loc")
            if key == "msg" and isinstance(place, list):
                return f"{'.'.join(str(step) for step in place[:_DEEPEST])}: {text.strip()}"
            return text.strip()
    return None


def _kind(layer: dict[str, Any]) -> str | None:
    """The name of the error, the most telling first; a number is none."""
    for key in _NAMES:
        name = layer.get(key)
        if isinstance(name, str) and name and not name.isdigit():
            return name[:LONGEST_NAME]
    return None
