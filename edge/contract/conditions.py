"""What each condition means whoever is told of it: conditions.yaml, checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge._fast import SLOTS, Condition
from edge.contract.held import Held
from edge.contract.problems import Reader, instead
from edge.contract.words import names

BLAMES = ("client", "tenant", "upstream", "edge")
RETRIES = ("never", "now", "later")
RESERVATIONS = ("spent", "returned")
UNANSWERED = (Condition.ok, Condition.client_closed)
ALWAYS = ("request_id", "trace_id", "status", "status_name", "condition")

_FILE = Path(__file__).with_name("conditions.yaml")
_TEXTS = ("message", "summary", "cause", "fix")
_KEYS = ("blame", "retry", "wait", "reservation", "like", "slots", "headers", *_TEXTS)


@dataclass(frozen=True, slots=True)
class Meaning:
    """A condition. `wait` is in seconds, None unless `retry` is later; `slots` are names its message may use.

    A contract that says nothing of it answers as it does for the condition that this one is `like`.
    """

    name: str
    blame: str
    retry: str
    reservation: str
    wait: int | None
    like: str | None
    slots: tuple[str, ...]
    headers: tuple[str, ...]
    message: str
    summary: str
    cause: str
    fix: str


@dataclass(frozen=True, slots=True)
class Conditions:
    """All of them, in the order of the enum, and what stands in for a slot's missing value."""

    meanings: dict[str, Meaning]
    neutral: dict[str, str]


@Held
def conditions() -> Conditions:
    """The conditions as shipped."""
    return read(_FILE.read_text("utf-8"), _FILE.name)


def read(text: str, file: str) -> Conditions:
    """The conditions of a text. Raises ContractError unless they are the enum's, each complete."""
    reader = Reader(file, text)
    reader.members((), ("slots", "conditions"), ("slots", "conditions"))
    own = [name for name in SLOTS if name not in (*ALWAYS, "retry_after")]
    neutral = {name: str(value) for name, value in reader.members(("slots",), own, own).items()}
    expected = [condition.name for condition in Condition if condition not in UNANSWERED]
    reader.members(("conditions",), expected, expected)
    reader.finish()
    meanings = {name: _meaning(reader, name, own) for name in expected}
    plain = [name for name, meaning in meanings.items() if meaning.like is None]
    for name, meaning in meanings.items():
        if meaning.like is not None and meaning.like not in plain:
            reader.add(("conditions", name, "like"), f"cannot be {meaning.like}", instead(meaning.like, plain))
    reader.finish()
    return Conditions(meanings, neutral)


def _meaning(reader: Reader, name: str, own: list[str]) -> Meaning:
    path = ("conditions", name)
    entry = reader.members(path, _KEYS, ("blame", "retry", "reservation", *_TEXTS))
    for key, allowed in (("blame", BLAMES), ("retry", RETRIES), ("reservation", RESERVATIONS)):
        if key in entry and entry[key] not in allowed:
            reader.add((*path, key), f"cannot be {entry[key]}", f"one of {', '.join(allowed)}")
    wait = entry.get("wait")
    if (entry.get("retry") == "later") != (isinstance(wait, int) and 1 <= wait <= 60):
        reader.add((*path, "wait"), "goes with retry: later", "give 1 to 60 seconds there, and none elsewhere")
    slots = _list(reader, (*path, "slots"), entry.get("slots"))
    for slot in slots:
        if slot not in own:
            reader.add((*path, "slots"), f"there is no slot {slot}", f"of {', '.join(own)}")
    meaning = Meaning(
        name=name, blame=str(entry.get("blame")), retry=str(entry.get("retry")),
        reservation=str(entry.get("reservation")), wait=wait if isinstance(wait, int) else None,
        like=str(entry["like"]) if "like" in entry else None,
        slots=(*slots, *ALWAYS, *(["retry_after"] if wait else [])),
        headers=_list(reader, (*path, "headers"), entry.get("headers")),
        **{key: str(entry.get(key, "")).strip() for key in _TEXTS})
    check_text(reader, (*path, "message"), meaning.message, meaning)
    return meaning


def check_text(reader: Reader, path: tuple[str, ...], text: str, meaning: Meaning) -> None:
    """Complain of names in a text that the condition has no value for."""
    try:
        found = names(text)
    except ValueError as error:
        reader.add(path, "has braces that name nothing", str(error))
        return
    for name in found:
        if name not in meaning.slots:
            reader.add(path, f"{meaning.name} has no value for {{{name}}}", f"of {', '.join(meaning.slots)}")


def _list(reader: Reader, path: tuple[str, ...], value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        reader.add(path, "must be a list of names", "write [name, name]")
        return ()
    return tuple(value)
