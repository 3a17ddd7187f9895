"""The reference of a contract for people and programs: what `edge errors` and the documentation show."""

from __future__ import annotations

import json
import textwrap
from typing import Any

from edge.contract.conditions import Meaning, conditions
from edge.contract.files import FLAGS, Contract, Row
from edge.contract.templates import phrase, status_name

COMMON = ("x-request-id", "request-id", "x-edge-condition", "x-edge-blame", "x-should-retry")
WAITING = ("retry-after", "retry-after-ms")


def describe(contract: Contract) -> list[dict[str, Any]]:
    """One dictionary per condition, by status; `variants` hold what differs when a setting is set."""
    described = []
    for name, meaning in conditions().meanings.items():
        row = contract.rows[name]
        described.append({
            "condition": name, **cells(row, name),
            "blame": meaning.blame, "retry": meaning.retry, "reservation": meaning.reservation,
            "headers": headers(row, meaning),
            "variants": {flag: cells(variant, name) for flag, variant in contract.variants.get(name, {}).items()},
            "summary": meaning.summary, "cause": meaning.cause, "fix": meaning.fix,
        })
    return sorted(described, key=lambda entry: entry["status"] if isinstance(entry["status"], int) else 499)


def cells(row: Row, condition: str) -> dict[str, Any]:
    """What a row puts on the wire, with the names in it that do not depend on the request filled in."""
    known = {"condition": condition}
    if row.status:
        known |= {"status": str(row.status), "status_name": status_name(row.status)}
    found: dict[str, Any] = {"status": row.status or "upstream"}
    for key in ("code", "type", "message", "param"):
        value = getattr(row, key)
        for name, text in known.items():
            value = value.replace(f"{{{name}}}", text) if isinstance(value, str) else value
        found[key] = value
    return found


def headers(row: Row, meaning: Meaning) -> list[str]:
    """The fields of its answer besides those that every answer has."""
    found = [*COMMON, *meaning.headers]
    if meaning.retry == "later":
        found += WAITING
    elif row.retry_after is not None:
        found += WAITING[:1]
    if row.status == 401:
        found.append("www-authenticate")
    return found


def to_json(contract: Contract, surface: str) -> str:
    """The reference as JSON."""
    shape = contract.surfaces[surface]
    return json.dumps({"contract": contract.name, "about": contract.about, "surface": surface,
                       "envelope": shape.envelope, "stream": shape.stream, "errors": describe(contract)}, indent=2)


def to_table(contract: Contract, surface: str, width: int) -> str:
    """The reference for a terminal of `width` columns: two lines or more per condition."""
    lines = [f"{contract.name}: {contract.about}", "",
             *_wrapped(f"On the {surface} surface: {json.dumps(contract.surfaces[surface].envelope)}", "", width),
             *_wrapped(f"Always there: {', '.join(COMMON)}; with retry later {' and '.join(WAITING)}", "", width),
             ""]
    entries = describe(contract)
    codes = max(len(_text(entry["code"])) for entry in entries)
    names = max(len(entry["condition"]) for entry in entries)
    previous = None
    for entry in [{"status": "Status", "code": "code", "condition": "condition", "blame": "blame", "retry": "retry",
                   "type": "type", "message": "message", "headers": [], "variants": {}}, *entries]:
        if entry["status"] != previous:
            previous = entry["status"]
            lines += ["", _title(previous)] if lines[-1] else [_title(previous)]
        # Many codes are the name of the condition, which is not said twice.
        name = "" if entry["condition"] == entry["code"] else entry["condition"]
        lines.append(f"  {_text(entry['code']):{codes}}  {name:{names}}  {entry['blame']:8}  {entry['retry']}")
        lines += _wrapped(f"{entry['type']}: {entry['message']}", "    ", width, hang=2)
        for flag, found in entry["variants"].items():
            lines += _wrapped(f"with {FLAGS[flag]}: {found['status']} {_text(found['code'])}, "
                              f"{found['type']}: {found['message']}", "    ", width, hang=2)
        if special := [header for header in entry["headers"] if header not in COMMON + WAITING]:
            lines += _wrapped(f"and {', '.join(special)}", "    ", width, hang=2)
    return "\n".join([*lines, "", "edge explain CODE tells cause and fix."])


def to_markdown(contract: Contract, surface: str) -> str:
    """The reference as a page."""
    shape = contract.surfaces[surface]
    always = ", ".join(f"`{name}`" for name in COMMON)
    lines = [f"# Errors: {contract.name}", "", f"{contract.about}. Every answer has {always}.", "",
             "```json", json.dumps(shape.envelope), "```", "",
             "A stream that has begun ends with `event: error` and this, and nothing after it:", "",
             "```json", json.dumps(shape.stream), "```", "",
             "| status | code | type | condition | message | param | blame | retry | headers |",
             "|---|---|---|---|---|---|---|---|---|"]
    entries = describe(contract)
    for entry in entries:
        lines.append(_markdown_row(entry, entry, ""))
        lines += [_markdown_row(entry, found, f" with `{FLAGS[flag]}`") for flag, found in entry["variants"].items()]
    lines += ["", "## Causes and fixes", ""]
    for entry in entries:
        lines += [f"### {entry['condition']}", "", entry["summary"], "", f"Cause: {entry['cause']}", "",
                  f"Fix: {entry['fix']}", ""]
    return "\n".join(lines).rstrip() + "\n"


def told(title: str, summary: str, cause: str, fix: str, width: int) -> str:
    """A meaning without a contract's answers."""
    return "\n".join([title, *_wrapped(summary, "  ", width), "", *_wrapped(f"Cause:  {cause}", "  ", width, hang=8),
                      *_wrapped(f"Fix:    {fix}", "  ", width, hang=8)])


def explain(name: str, contracts: list[Contract], width: int) -> str:
    """One condition: what it means, why, what to do, and how each contract answers it."""
    meaning = conditions().meanings[name]
    advice = {"never": "cannot help", "now": "may help, at once",
              "later": "may help, after the time in Retry-After"}[meaning.retry]
    lines = [name, *_wrapped(meaning.summary, "  ", width), ""]
    for title, text in (("Cause", meaning.cause), ("Fix", meaning.fix), ("Blame", meaning.blame),
                        ("Retry", advice)):
        lines += _wrapped(f"{title + ':':8}{text}", "  ", width, hang=8)
    lines.append("")
    longest = max(len(contract.name) for contract in contracts)
    for contract in contracts:
        for label, row in [("", contract.rows[name]), *((f"with {FLAGS[flag]}: ", row) for flag, row
                                                         in contract.variants.get(name, {}).items())]:
            found = cells(row, name)
            lines += _wrapped(f"{contract.name:{longest}}  {found['status']}  {label}{_text(found['code'])}  "
                              f"{found['message']}", "  ", width, hang=longest + 7)
    return "\n".join(lines)


def find(word: str, contracts: list[Contract]) -> list[str]:
    """The conditions that a code, a name or a status stands for in any of the contracts."""
    wanted = word.strip().lower()
    return [name for name in conditions().meanings
            if wanted == name or any(wanted in (str(found["code"]).lower(), str(found["status"]))
                                     for contract in contracts for found in _all_cells(contract, name))]


def known_words(contracts: list[Contract]) -> list[str]:
    """Everything that `find` finds something for."""
    words = dict.fromkeys(conditions().meanings)
    for contract in contracts:
        for name in conditions().meanings:
            for found in _all_cells(contract, name):
                words |= dict.fromkeys(str(found[key]) for key in ("code", "status") if found[key] is not None)
    return list(words)


def _all_cells(contract: Contract, name: str) -> list[dict[str, Any]]:
    return [cells(contract.row(name, flags), name) for flags in ((), *((flag,) for flag in FLAGS))]


def _wrapped(text: str, indent: str, width: int, hang: int = 0) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent + " " * hang,
                         break_on_hyphens=False)


def _markdown_row(entry: dict[str, Any], found: dict[str, Any], note: str) -> str:
    special = [f"`{name}`" for name in entry["headers"] if name not in COMMON]
    texts = [f"{found['status']}{note}", _code(found["code"]), _code(found["type"]), _code(entry["condition"]),
             str(found["message"]), _code(found["param"]), entry["blame"], entry["retry"], " ".join(special)]
    return "| " + " | ".join(text.replace("|", "\\|").replace("<", "&lt;") for text in texts) + " |"


def _title(status: int | str) -> str:
    """What stands above the conditions of one status."""
    if isinstance(status, int):
        return f"{status} {phrase(status)}"
    return "The provider's own 4xx" if status == "upstream" else status


def _text(code: object) -> str:
    return "null" if code is None else str(code)


def _code(value: object) -> str:
    return "null" if value is None else f"`{value}`"
