"""Contracts as data: found, read, laid over their base, checked. README.md is their manual."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edge._fast import PHRASES
from edge.contract.conditions import Meaning, check_text, conditions
from edge.contract.problems import ContractError, Problem, Reader, instead
from edge.contract.words import names as names_in
from edge.dialects.kinds import KINDS

SURFACES = (*KINDS, "admin")
# Settings that choose a variant of a row, and how the configuration has them. (README.md has all switches.)
FLAGS = {"mask_rate_limit": "provider_rate_limit: mask", "revoked_401": "revoked_key: 401",
         "revoked_403": "revoked_key: 403"}
# What an envelope is filled with: the row's own four, and what is known of every error.
ROW_NAMES = ("type", "code", "message", "param")
ENVELOPE_NAMES = (*ROW_NAMES, "request_id", "trace_id", "status", "condition", "blame", "retry_after")

_FOLDER = Path(__file__).with_name("contracts")
_TOP = ("name", "about", "base", "surfaces", "defaults", "conditions")
_DEFAULTS = ("type", "code", "param")
_CELLS = ("status", "type", "code", "param", "message", "retry_after")
_MAX_BYTES = 1 << 20
_MAX_TEXT = 4096


@dataclass(frozen=True, slots=True)
class Envelopes:
    """The JSON of an error, and of the error event in a stream."""

    envelope: Any
    stream: Any


@dataclass(frozen=True, slots=True)
class Row:
    """What a contract says of one condition. `status` 0 is the upstream's own. Texts have {slots} in them.

    `retry_after` is in seconds, where the contract promises the field and no retry helps; else None.
    """

    status: int
    type: str
    code: str | int | None
    param: str | None
    message: str
    retry_after: int | None


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract that answers every condition on at least one surface."""

    name: str
    about: str
    file: str
    surfaces: dict[str, Envelopes]
    rows: dict[str, Row]
    variants: dict[str, dict[str, Row]]     # condition: by flag, the row that holds when it is set

    def row(self, condition: str, flags: Collection[str] = ()) -> Row:
        """The row of a condition under the flags that are set."""
        rows = [row for flag, row in self.variants.get(condition, {}).items() if flag in flags]
        return rows[0] if rows else self.rows[condition]


def names(files: Sequence[str] = ()) -> tuple[str, ...]:
    """The contracts there are: the shipped ones, then the operator's `files`. Raises ContractError."""
    return (*_shipped_names(), *_own(files))


def load(name: str, files: Sequence[str] = ()) -> Contract:
    """A contract by name. Raises ContractError with everything that is wrong with it."""
    if name in _shipped_names():
        _own(files)
        return _shipped(name)
    return _build(name, _own(files), ())


def values(chosen: Iterable[tuple[str, str]], files: Sequence[str] = ()) -> tuple[tuple[str, Contract], ...]:
    """The contracts of the surfaces and of the admin API, whole: whoever has them reads no file any more.

    Raises ContractError. An operator's own contract need not have thought of the admin API: OpenAI's answers there.
    """
    found = {surface: load(name, files) for surface, name in chosen}
    own = "admin" in found["openai"].surfaces
    return (*found.items(), ("admin", found["openai"] if own else load("openai")))


@cache
def _shipped_names() -> tuple[str, ...]:
    rest = sorted(path.stem for path in _FOLDER.glob("*.yaml") if path.stem not in KINDS)
    return (*KINDS, *rest)


@cache
def _shipped_reader(name: str) -> Reader:
    path = _FOLDER / f"{name}.yaml"
    return Reader(f"{name}.yaml", path.read_text("utf-8"))


@cache
def _shipped(name: str) -> Contract:
    return _Builder(_shipped_reader(name), _raw(_shipped_reader(name))).contract()


def _own(files: Sequence[str]) -> dict[str, Reader]:
    """The operator's files by the name that each gives itself."""
    found: dict[str, Reader] = {}
    for file in files:
        reader = Reader(file, _text(file))
        data = reader.document.data
        name = data.get("name") if isinstance(data, dict) else None
        if not isinstance(name, str) or not name.strip():
            reader.add(("name",), "a contract needs a name", "write name: NAME at the top")
        elif name in _shipped_names():
            reader.add(("name",), f"{name} is a contract of the gateway's own", f"another name, with base: {name}")
        elif name in found:
            reader.add(("name",), f"{name} is also the name in {found[name].file}", "give one of them another name")
        reader.finish()
        found[str(name)] = reader
    return found


def _text(file: str) -> str:
    """A file's text. Raises ContractError."""
    try:
        with Path(file).open("rb") as stream:
            raw = stream.read(_MAX_BYTES + 1)
        if len(raw) > _MAX_BYTES:
            raise ContractError([Problem(file, 1, 1, "", "is larger than 1 MB", "a contract is a small file")])
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ContractError([Problem(file, line, 1, "", "a byte that is not UTF-8", "save it as UTF-8")]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else "no path"
        raise ContractError([Problem(file, 1, 1, "", f"cannot be read: {reason}",
                                     "check the path and its permissions")]) from None


def _build(name: str, own: dict[str, Reader], seen: tuple[str, ...]) -> Contract:
    if name not in own:
        known = (*_shipped_names(), *own)
        raise ContractError([Problem("", 0, 0, "", f"there is no contract {name}", instead(name, known))])
    return _Builder(own[name], _merged(name, own, seen)).contract()


def _merged(name: str, own: dict[str, Reader], seen: tuple[str, ...]) -> dict[str, Any]:
    """The file's data laid over its base's, and that over its own base's."""
    reader = own[name] if name in own else _shipped_reader(name)
    raw = _raw(reader)
    base = raw.get("base")
    if base is None:
        return raw
    if base not in (*_shipped_names(), *own):
        reader.add(("base",), f"there is no contract {base}", instead(base, (*_shipped_names(), *own)))
    elif base in (*seen, name):
        reader.add(("base",), "is a contract that is built on this one", "end with a contract without base")
    reader.finish()
    under = _merged(str(base), own, (*seen, name))
    merged: dict[str, Any] = {"name": name, "about": raw.get("about", "")}
    merged["surfaces"] = {**under["surfaces"], **raw["surfaces"]}
    merged["defaults"] = {**under["defaults"], **raw["defaults"]}
    merged["conditions"] = {key: {**under["conditions"].get(key, {}), **raw["conditions"].get(key, {})}
                            for key in {**under["conditions"], **raw["conditions"]}}
    return merged


def _raw(reader: Reader) -> dict[str, Any]:
    """The file's data with every section there, checked for shape. Raises ContractError."""
    data = reader.members((), _TOP, ("name",))
    raw: dict[str, Any] = {key: value for key, value in data.items() if key in ("name", "about", "base")}
    for key in ("name", "about", "base"):
        if key in raw and not isinstance(raw[key], str):
            reader.add((key,), "must be a text", 'put it in quotes: "..."')
    known = tuple(conditions().meanings)
    for section, keys in (("surfaces", SURFACES), ("defaults", _DEFAULTS), ("conditions", known)):
        raw[section] = dict(reader.members((section,), keys)) if section in data else {}
    for surface in raw["surfaces"]:
        reader.members(("surfaces", surface), ("envelope", "stream"), ("envelope",))
    for name in raw["conditions"]:
        row = reader.members(("conditions", name), (*_CELLS, "when"))
        if "when" in row:
            for flag in reader.members(("conditions", name, "when"), tuple(FLAGS)):
                reader.members(("conditions", name, "when", flag), _CELLS)
    reader.finish()
    if "base" not in raw:
        rows = raw["conditions"]
        alike = {name: rows[meaning.like] for name, meaning in conditions().meanings.items() if meaning.like in rows}
        raw["conditions"] = {**alike, **rows}
    return raw


class _Builder:
    """Merged data -> Contract. Complaints name the file that the operator asked for."""

    def __init__(self, reader: Reader, data: dict[str, Any]) -> None:
        self.reader = reader
        self.data = data
        self.defaults = {"param": None, "code": None, **data["defaults"]}

    def contract(self) -> Contract:
        surfaces = {name: self.surface(name, value) for name, value in self.data["surfaces"].items()}
        if not surfaces:
            self.reader.add(("surfaces",), "there is no surface", f"give an envelope for {', '.join(SURFACES)}")
        rows: dict[str, Row] = {}
        variants: dict[str, dict[str, Row]] = {}
        for name, meaning in conditions().meanings.items():
            cells = self.data["conditions"].get(name)
            if cells is None:
                self.reader.add(("conditions", name), "this condition has no answer",
                                f"add {name}: {{status: ...}}, or take the rest from a base")
                continue
            when = {flag: {**cells, **over} for flag, over in cells.get("when", {}).items()}
            rows[name] = self.row(("conditions", name), cells, meaning)
            variants[name] = {flag: self.row(("conditions", name, "when", flag), over, meaning)
                              for flag, over in when.items()}
        self.reader.finish()
        return Contract(str(self.data["name"]), str(self.data.get("about", "")), self.reader.file, surfaces, rows,
                        {name: found for name, found in variants.items() if found})

    def surface(self, name: str, value: dict[str, Any]) -> Envelopes:
        path = ("surfaces", name)
        surface = Envelopes(value["envelope"], value.get("stream", value["envelope"]))
        for key, envelope in (("envelope", surface.envelope), ("stream", surface.stream)):
            used = self.envelope((*path, key), envelope)
            if "message" not in used:
                self.reader.add((*path, key), "does not give the message", 'put "{message}" somewhere into it')
        return surface

    def envelope(self, path: tuple[str | int, ...], node: Any) -> set[str]:
        """The names that an envelope uses, each of them checked."""
        if isinstance(node, dict):
            found = [self.envelope((*path, key), value) for key, value in node.items()]
            return set().union(*found)
        if isinstance(node, list):
            return set().union(*(self.envelope((*path, index), item) for index, item in enumerate(node)))
        if not isinstance(node, str):
            return set()
        try:
            used = set(names_in(node))
        except ValueError as error:
            self.reader.add(path, "has braces that name nothing", str(error))
            return set()
        for name in sorted(used - set(ENVELOPE_NAMES)):
            self.reader.add(path, f"an envelope has no {{{name}}}", f"of {', '.join(ENVELOPE_NAMES)}")
        return used

    def row(self, path: tuple[str, ...], cells: dict[str, Any], meaning: Meaning) -> Row:
        values = {"message": meaning.message, **self.defaults, **cells}
        kinds: dict[str, tuple[type, ...]] = {
            "type": (str,), "message": (str,), "param": (str, type(None)), "code": (str, int, type(None))}
        for key, allowed in kinds.items():
            value = values.get(key)
            if not isinstance(value, allowed) or isinstance(value, bool) or (key in ("type", "message") and not value):
                self.reader.add((*path, key), "is missing" if value is None else "must be a text",
                                f"write {key}: TEXT here, or under defaults" if key == "type" else 'write "TEXT"')
            elif isinstance(value, str) and len(value) > _MAX_TEXT:
                self.reader.add((*path, key), f"is longer than {_MAX_TEXT} characters", "shorten it")
            elif isinstance(value, str):
                check_text(self.reader, (*path, key), value, meaning)
        return Row(self.status(path, values.get("status"), meaning), values.get("type", ""), values["code"],
                   values["param"], values["message"], self.retry_after(path, values.get("retry_after"), meaning))

    def retry_after(self, path: tuple[str, ...], value: Any, meaning: Meaning) -> int | None:
        if value is None or (type(value) is int and 1 <= value <= 60 and meaning.retry == "never"):
            return value
        self.reader.add((*path, "retry_after"), f"cannot be {value}" if meaning.retry == "never" else
                        "is told by the gateway", "1 to 60 seconds, where no retry helps; else leave it out")
        return None

    def status(self, path: tuple[str, ...], value: Any, meaning: Meaning) -> int:
        if value == "upstream" and "upstream_status" in meaning.slots:
            return 0
        if isinstance(value, int) and not isinstance(value, bool) and value in PHRASES:
            return value
        upstream = " or upstream" if "upstream_status" in meaning.slots else ""
        self.reader.add((*path, "status"), "is missing" if value is None else f"cannot be {value}",
                        f"an error status of HTTP, such as 400 or 502{upstream}")
        return 500
