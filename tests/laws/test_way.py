"""The files of a request's way call each other in one direction: the order in which they are included."""

from __future__ import annotations

import re
from pathlib import Path

from tests.laws.sources import ROOT, files, relative

UNIT = next(path for path in files(".pyx") if path.name == "gateway.pyx")
INCLUDED = re.compile(r'^include "([\w/]+\.pxi)"$', re.M)
FUNCTION = re.compile(r"^cdef (?:inline )?(?:[\w*]+ )*\**(\w+)\(", re.M)
CALL = re.compile(r"(?<![.\w])(\w+)\(")


# Stages that not every chat request passes: bodies in a coding, ids of one among several providers, keys that change
# meanwhile, a full provider, errors; and a plain answer that is held or a stream, never both.
SOME = {"codings", "makers", "renew", "queue", "words", "stream"}


def code(path: Path) -> str:
    """A file without what only people read."""
    return re.sub(r"#.*", "", re.sub(r'""".*?"""', "", path.read_text(), flags=re.S))


def way() -> dict[str, str]:
    """The code of the included files by their names, in the order in which they are included."""
    order = [UNIT.parent / name for name in INCLUDED.findall(UNIT.read_text())]
    return {path.stem: code(path) for path in order}


def calls(text: str) -> set[str]:
    """The names of all plain functions that a file calls."""
    return set(CALL.findall(re.sub(r"^ *(?:cdef|cpdef|def) .*$", "", text, flags=re.M)))


def test_the_way_is_included_whole() -> None:
    """Every file of the way is included once, and has functions or classes that others call."""
    names = INCLUDED.findall(UNIT.read_text())
    assert len(names) == len(set(names))
    assert {path.stem for path in files(".pxi")} >= set(way())


def test_files_call_only_those_before_them() -> None:
    """No file of the way calls a function of one that is included behind it: there is no way back, and no circle."""
    parts = way()
    order = list(parts)
    home = {name: part for part in parts for name in FUNCTION.findall(parts[part])}
    own = set(FUNCTION.findall(code(UNIT)))
    assert [f"{part} calls {name} of {home.get(name, UNIT.stem)}"
            for part in order for name in sorted(calls(parts[part]))
            if name in own or (name in home and order.index(home[name]) > order.index(part))] == []


def test_no_two_files_of_a_unit_call_each_other() -> None:
    """Of the files that make one C unit no two call functions of each other: what is called knows no caller."""
    wrong = []
    for unit in (path for path in files(".pyx") if path.is_relative_to(ROOT / "edge")):
        parts = {path: code(path) for path in (unit, *(unit.parent / name for name in INCLUDED.findall(code(unit))))}
        home = {name: part for part in parts for name in FUNCTION.findall(parts[part])}
        pairs = {(part, home[name]) for part in parts for name in calls(parts[part]) if home.get(name, part) != part}
        wrong += [f"{relative(one)} and {relative(other)}" for one, other in pairs
                  if (other, one) in pairs and one < other]
    assert wrong == []


def test_a_request_passes_few_files() -> None:
    """As the page of the way draws it a chat request passes 18 files at most, and none twice in one direction."""
    page = (ROOT / "docs/way.md").read_text()
    picture = page[page.index("   client "):page.index("provider  ─")]
    ways = [re.findall(r"^ (\w+)\.pxi", picture, re.M), re.findall(r"(?<=  )(\w+)\.pxi", picture)]
    assert all(len(names) == len(set(names)) > 5 for names in ways)
    assert set(ways[0]) | set(ways[1]) <= set(way())
    assert len({*ways[0], *ways[1]} - SOME) <= 18


def test_one_file_ends_requests() -> None:
    """A stage returns its verdict: only the driver settles, answers a refusal or begins another attempt."""
    parts = way()
    ends = {"settle", "write_refusal", "write_trouble", "attempt", "recover", "prepare", "follow", "meet"}
    assert {name: {part for part in parts if name in calls(parts[part])} for name in ends} == {
        name: {"exchange"} for name in ends}


def test_states_are_changed_by_verdicts() -> None:
    """A request's state is set by the one gate, which knows the table."""
    assert {part for part, text in way().items() if re.search(r"\b(?:x|self)\.state = ", text)} <= {"exchange", "parse"}


def test_no_stage_asks_which_dialect_it_is() -> None:
    """What dialects and surfaces differ in is data and functions of theirs: a stage compares none with another."""
    asks = re.compile(r"\b(?:dialect|surface)(?:\.name)? *(?:[!=]=| is (?!(?:not )?None))")
    assert [f"{part}: {found}" for part, text in way().items() for found in asks.findall(text)] == []
    assert asks.search("x.surface.name == b") and asks.search("dialect != D") and not asks.search("surface is None")
