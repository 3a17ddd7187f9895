"""docs/rows.md: every row of the five contracts, how the tests bring it about, and what the gateway answered.

`make rows` writes it from what a run has seen; any other run holds the page to what it sees.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

import pytest

from tests.gateway.client import KEY, Answer
from tests.laws.sources import ROOT

PAGE = ROOT / "docs/rows.md"
FIELDS = ("x-edge-condition", "x-edge-blame", "x-should-retry", "retry-after", "x-ratelimit-limit", "allow",
          "www-authenticate")
BODY_SHOWN = 200            # bytes of a request's body
_SEEN: dict[int, str] = {}
# Rows that no client of a gateway can meet yet, and what they wait for.
NOT_YET = {
    **dict.fromkeys(("tokenbay/task-not-found", "tokenbay/task-failed", "tokenbay/video-task", "tokenbay/video-fetch"),
                    "asynchronous tasks"),
    "tokenbay/convert": "translation between the providers' formats",
}
# Rows whose answers other tests hold to them, at the admin port.
ELSEWHERE = {
    "tokenpak/config-syntax": "tests/gateway/test_rows_page.py, by a reload of a broken file",
    "tokenpak/config-missing": "tests/gateway/test_rows_page.py, by a reload of a broken file",
    "tokenpak/conflict": "tests/gateway/test_rows_page.py, by an answer put into the response cache twice",
    "tokenpak/disk": "tests/gateway/test_rows_page.py, by one put into a cache for which the disk has no room",
    "tokenfactory/playground-upstream": "tests/gateway/test_playground.py, by a provider that fails",
    "tokenfactory/rotate-conflict": "tests/gateway/test_rows_page.py, by a second rotation",
    "tokenfactory/settings-conflict": "tests/gateway/test_rows_page.py, by an If-Match of another version",
}
HEAD = """<!-- Made by a run of the tests: make rows -->
# The rows of the five contracts

Each row of TokenPak's, Token Factory's, TokenBay's and Token360's contracts and of the generic reference, by its real
condition at a running gateway: what was asked, and what came back, ids and waits that differ from run to run as `…`.
Where several ways lead to a row the first is shown; the tests take all of them, with a configuration that has `models`
and with one that has providers alone.

| row | asked | answer |
|---|---|---|
"""


def line(row: str, way: str, request: bytes | None, about: str, answer: Answer) -> str:
    """A row of the page."""
    asked = f"`{shown(request)}`" if request is not None else about
    fields = " ".join(f"`{name}: {value}`" for name in FIELDS if (value := answer.fields.get(name)) is not None)
    cells = (f"`{row}`", f"{way}: {asked}", f"**{answer.status}** {steady(fields)}<br>`{steady(body(answer))}`")
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def shown(request: bytes) -> str:
    """A request in a line: what comes first, the fields that a row may turn on, and the beginning of its body."""
    head, _, content = request.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    kept = [field[:100] for field in fields if field.partition(":")[0].lower() not in (
        "host", "content-length", "connection") and field not in (
            "content-type: application/json", f"authorization: Bearer {KEY}")]
    text = content[:BODY_SHOWN].decode("utf-8", "replace") + ("…" if len(content) > BODY_SHOWN else "")
    return re.sub(r"[^\x20-\x7e…]", "?", " ".join(filter(None, (first[:100].removesuffix(" HTTP/1.1"), *kept, text))))


def body(answer: Answer) -> str:
    """Its JSON."""
    return json.dumps(json.loads(answer.body), ensure_ascii=False)


def steady(text: str) -> str:
    """Without what differs from run to run."""
    text = re.sub(r"req-[0-9a-f]{16}", "req-…", text)
    text = re.sub(r"retry-after: \d+", "retry-after: …", text)
    text = re.sub(r"\(\d+ % of", "(… % of", text)
    text = re.sub(r"again from \w+, [\d-]+ [\d:]+ UTC on", "again from …", text)
    return re.sub(r"(Retry-After: |Retry after |try again in )\d+", r"\1…", text)


def page(lines: Iterable[str]) -> str:
    """All of it."""
    missing = "".join(f"- `{row}`: waits for {why}\n" for row, why in sorted(NOT_YET.items()))
    others = "".join(f"- `{row}`: {where}\n" for row, where in sorted(ELSEWHERE.items()))
    return (f"{HEAD}{''.join(f'{text}{chr(10)}' for text in lines)}\n"
            f"## Held by other tests\n\n{others}\n## Not reachable yet\n\n{missing}")


def seen(config: pytest.Config, place: int, text: str) -> None:
    """A row was met. With --write-rows the page is made of all of them, else it must have this one as it is."""
    if not config.getoption("--write-rows"):
        assert text in PAGE.read_text().splitlines(), "docs/rows.md shows another answer, or none: make rows"
        return
    _SEEN[place] = text
    PAGE.write_text(page([_SEEN[each] for each in sorted(_SEEN)]))
