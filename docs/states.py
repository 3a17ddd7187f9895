"""Draws the states of a request into docs/way.md, from the table that the gateway obeys: `python docs/states.py`."""

from __future__ import annotations

import re
from pathlib import Path

from edge._fast import STATES, TRANSITIONS

PAGE = Path(__file__).with_name("way.md")
BEGIN, END = "<!-- Made by: python docs/states.py -->\n", "<!-- end -->\n"


def diagram() -> str:
    """The table as a mermaid diagram: one arrow for all verdicts that lead from a state to another."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, verdict), following in TRANSITIONS.items():
        arrows.setdefault((state, following), []).append(verdict)
    lines = [f"    {state} --> {following}: {', '.join(verdicts)}" for (state, following), verdicts in arrows.items()]
    whole = [f"    [*] --> {STATES[0]}", *lines, f"    {STATES[-1]} --> [*]"]
    return "\n".join(["```mermaid", "stateDiagram-v2", *whole, "```", ""])


def drawn(page: str) -> str:
    """The page with the diagram between its two marks. ValueError: it has no such place."""
    place = re.compile(f"(?<={re.escape(BEGIN)}).*?(?={re.escape(END)})", re.S)
    if len(place.findall(page)) != 1:
        raise ValueError(f"the page needs one {BEGIN.strip()} with {END.strip()} behind it")
    return place.sub(lambda _: diagram(), page)


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text()))
