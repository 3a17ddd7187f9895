"""Contract -> templates: JSON with holes, which no value that fills them can break."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

from edge._fast import NEVER, PHRASES, SLOTS, Condition, Template
from edge.contract.conditions import UNANSWERED, Conditions, Meaning, conditions
from edge.contract.files import ROW_NAMES, SURFACES, Contract, Row, load
from edge.contract.problems import ContractError, Problem
from edge.contract.words import Name, parse

Piece = bytes | tuple[int, bytes]
Fill = Callable[[str, bool], None]

# What was made last of a name for a surface and its flags: most versions of a configuration change no contract.
_made: dict[tuple[str, str, str, tuple[str, ...]], tuple[Contract, list[Template | None]]] = {}


def compile_surface(chosen: str | Contract, surface: str, *, files: Sequence[str] = (), flags: tuple[str, ...] = (),
                    shape: str | None = None) -> list[Template | None]:
    """The templates of a surface, by condition; None for conditions that have no answer. Raises ContractError.

    `flags` are the settings of FLAGS that are set, `shape` is the surface whose envelope is used, where it is another.
    """
    contract = chosen if isinstance(chosen, Contract) else load(chosen, files)
    if surface not in contract.surfaces:
        where = f"surfaces.{surface}" if surface in SURFACES else ""
        raise ContractError([Problem(contract.file, 1, 1, where, f"{contract.name} has no surface {surface}",
                                     f"add its envelope, or choose one of {', '.join(contract.surfaces)}")])
    shape = surface if shape is None or shape not in contract.surfaces else shape
    made = _made.get((contract.name, surface, shape, flags))
    if made is None or made[0] != contract:
        made = _made[contract.name, surface, shape, flags] = contract, [
            None if condition in UNANSWERED else _template(contract, shape, condition.name, flags)
            for condition in Condition]
    return list(made[1])


def statuses(chosen: str | Contract, flags: Collection[str] = ()) -> list[int]:
    """The statuses of a contract, by condition; 0 for the upstream's own and for conditions without an answer."""
    contract = chosen if isinstance(chosen, Contract) else load(chosen)
    return [0 if condition in UNANSWERED else contract.row(condition.name, flags).status for condition in Condition]


def phrase(status: int) -> str:
    """The reason phrase of a status."""
    return PHRASES[status]


def status_name(status: int) -> str:
    """The reason phrase in snake case."""
    return phrase(status).lower().replace(" ", "_")


def _template(contract: Contract, surface: str, name: str, flags: Collection[str]) -> Template:
    known = conditions()
    meaning = known.meanings[name]
    row = contract.row(name, flags)
    shape = contract.surfaces[surface]
    body = _Body(row, meaning, known)
    body.envelope(shape.envelope)
    event = _Body(row, meaning, known)
    # An event's name makes Anthropic's SDKs raise, its data OpenAI's. JSON has no bare line ends.
    event.text("event: error\ndata: ")
    event.envelope(shape.stream)
    event.text("\n\n")
    wait_ms = {"never": NEVER, "now": 0}.get(meaning.retry, (meaning.wait or 0) * 1000)
    return Template(name, row.status, _head(row, meaning), body.pieces(), event.pieces(), wait_ms)


def _head(row: Row, meaning: Meaning) -> bytes:
    """The status line, but for the upstream's own status, and the fields that are always the same."""
    lines = [f"HTTP/1.1 {row.status} {phrase(row.status)}"] if row.status else []
    lines += ["content-type: application/json", f"x-edge-condition: {meaning.name}", f"x-edge-blame: {meaning.blame}"]
    if row.status == 401:
        lines.append("www-authenticate: Bearer")        # RFC 9110 section 15.5.2: a 401 must have it
    if row.retry_after is not None:
        lines.append(f"retry-after: {row.retry_after}")
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


class _Body:
    """Builds pieces: literals run together, slots in between."""

    def __init__(self, row: Row, meaning: Meaning, known: Conditions) -> None:
        self.row = row
        self.meaning = meaning
        self.known = known
        self._pieces: list[Piece] = []
        self._literal = ""

    def pieces(self) -> tuple[Piece, ...]:
        """What was built."""
        self._flush()
        return tuple(self._pieces)

    def text(self, text: str) -> None:
        """A literal, as it goes on the wire."""
        self._literal += text

    def envelope(self, node: Any) -> None:
        """JSON with names of the envelope in its strings."""
        if isinstance(node, dict):
            for index, (key, value) in enumerate(node.items()):
                self.text(("," if index else "{") + json.dumps(key) + ":")
                self.envelope(value)
            self.text("}" if node else "{}")
        elif isinstance(node, list):
            for index, item in enumerate(node):
                self.text("," if index else "[")
                self.envelope(item)
            self.text("]" if node else "[]")
        elif isinstance(node, str):
            self._string(node, self._envelope_name)
        else:
            self.text(json.dumps(node))

    def _flush(self) -> None:
        if self._literal:
            self._pieces.append(self._literal.encode("ascii"))
            self._literal = ""

    def _string(self, text: str, fill: Fill) -> None:
        """A JSON string. One that is a single name becomes the value itself, so that null stays null."""
        parts = parse(text)
        if len(parts) == 1 and isinstance(parts[0], Name):
            fill(parts[0].name, True)
            return
        self.text('"')
        self._inside(parts, fill)
        self.text('"')

    def _inside(self, parts: list[str | Name], fill: Fill) -> None:
        for part in parts:
            if isinstance(part, Name):
                fill(part.name, False)
            else:
                self.text(json.dumps(part)[1:-1])

    def _envelope_name(self, name: str, whole: bool) -> None:
        if name in ROW_NAMES:
            self._row_value(name, whole)
        elif name == "blame":
            self.text(f'"{self.meaning.blame}"' if whole else self.meaning.blame)
        elif name == "retry_after" and self.meaning.wait is None:
            self.text("null" if whole else "0")
        elif name in ("status", "retry_after"):
            self._slot(name, False)             # a number, where it is all of the value
        else:
            self._slot(name, whole)

    def _row_value(self, name: str, whole: bool) -> None:
        value = getattr(self.row, name)
        if isinstance(value, str) and whole and name in ("code", "param"):
            self._string(value, self._slot)
        elif isinstance(value, str):
            self.text('"' if whole else "")     # never null: a type and a message there always is
            self._inside(parse(value), self._slot)
            self.text('"' if whole else "")
        elif whole:
            self.text(json.dumps(value))
        elif value is not None:
            self.text(str(value))

    def _slot(self, name: str, whole: bool) -> None:
        """A value of the request, or one that is known already."""
        known = {"condition": self.meaning.name}
        if self.row.status:
            known |= {"status": str(self.row.status), "status_name": status_name(self.row.status)}
        if name in known:
            self.text(f'"{known[name]}"' if whole else known[name])
            return
        self._flush()
        stand_in = json.dumps(self.known.neutral.get(name, ""))[1:-1].encode("ascii")
        self._pieces.append((~SLOTS[name] if whole else SLOTS[name], stand_in))
