"""What pages tell their readers to type or to look at exists, and what a command has made is what it makes now."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

from docs.states import PAGE as WAY
from docs.states import drawn
from edge._fast import STATES, VERDICTS
from tests.laws.sources import COMPILED, ROOT, TOPS, files, relative
from tests.laws.test_layers import FAST_HEIGHT, HEIGHT
from tests.support.commands import fault

BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.M | re.S)
SHELL = {"", "sh", "bash", "shell", "console"}
MADE_BY = re.compile(r"\A<!-- Made by: (edge .+?) -->\n")
PAGES = files(".md")
FOR_DEVELOPERS = (ROOT / "CONTRIBUTING.md", WAY)
PLACEHOLDER = re.compile(r"NAME|\*")
FILE = re.compile(rf"(?<![\w./-])(?:(?:{'|'.join(TOPS)})/[\w./*-]*[\w*]"
                  r"|\w[\w./*-]*\.(?:py|pyi|pyx|pxi|pxd|h|yaml|toml|sh|md))\b")
WORD = re.compile(r"`([A-Za-z_]\w+)`")


def blocks(languages: set[str]) -> list[tuple[str, str]]:
    """Fenced blocks of all pages, each with the page's name."""
    return [(relative(page), text) for page in PAGES
            for language, text in BLOCK.findall(page.read_text()) if language in languages]


def commands(program: str) -> list[str]:
    """The lines of shell blocks that call a program, a prompt and a path before it taken off."""
    call = re.compile(rf"^(?:\$ )?(?:\S*/bin/|uv run )?({program}(?: .*)?)$", re.M)
    return [line for _, text in blocks(SHELL) for line in call.findall(text.replace("\\\n", " "))]


def test_commands_in_the_documentation_exist() -> None:
    """Every `edge ...` that a page shows names a command and options that exist."""
    assert commands("edge")
    assert [wrong for line in commands("edge") if (wrong := fault(re.split(r" [|>&]", line)[0]))] == []


def test_make_targets_in_the_documentation_exist() -> None:
    """Every `make ...` that a page shows is a target of the Makefile, among them the two commands."""
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))
    named = {shlex.split(line, comments=True)[1] for line in commands("make")}
    assert {"run", "test"} <= named <= targets


def test_python_in_the_documentation_compiles() -> None:
    """Every block of Python on a page is valid Python."""
    for page, text in blocks({"python", "py"}):
        compile(text, page, "exec")


def test_links_between_pages_lead_somewhere() -> None:
    """Every relative link of a page leads to a file of the repository."""
    broken = []
    for page in PAGES:
        for link in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", page.read_text()):
            if not (page.parent / link).exists():
                broken.append(f"{relative(page)}: {link}")
    assert broken == []


def test_generated_pages_are_true() -> None:
    """A page that says which command made it is exactly what that command prints now, and each contract has one."""
    contracts = {path.with_suffix(".md") for path in (ROOT / "edge/contract/contracts").glob("*.yaml")}
    assert contracts <= {page for page in PAGES if MADE_BY.match(page.read_text())}, "make pages"
    for page in PAGES:
        made = MADE_BY.match(page.read_text())
        if made:
            done = subprocess.run([sys.executable, "-m", *shlex.split(made[1])], cwd=ROOT,
                                  capture_output=True, text=True, timeout=30, check=True)
            assert page.read_text().removeprefix(made[0]) == done.stdout, f"make pages, for {relative(page)}"


def test_files_that_developers_are_shown_exist() -> None:
    """Every file and folder that a page for developers names is there, by its path or by its end."""
    paths = [relative(path) for path in files()]
    for page in FOR_DEVELOPERS:
        named = [name for name in FILE.findall(page.read_text()) if not PLACEHOLDER.search(name)]
        assert named
        assert [name for name in named if not (ROOT / name).exists()
                and not any(path.endswith(f"/{name}") for path in paths)] == [], relative(page)


def test_names_that_developers_are_shown_exist() -> None:
    """Every name that stands alone in code's letters on a page for developers is somewhere in the code."""
    code = set(re.findall(r"\w+", "\n".join(path.read_text() for path in files(".py", ".yaml", ".toml", *COMPILED))))
    for page in FOR_DEVELOPERS:
        assert set(WORD.findall(page.read_text())) - code == set(), relative(page)


def test_the_rooms_are_those_there_are() -> None:
    """The lists of rooms, of edge and of its compiled part, name each of them, in the order of the law."""
    tables = WAY.read_text().partition("## The rooms")[2].split("|---|---|\n")[1:]
    for table, heights in zip(tables, (HEIGHT, FAST_HEIGHT), strict=True):
        rows = re.findall(r"^\| `(\w+)` \|", table, re.M)
        assert [heights[room] for room in rows] == sorted(heights.values())


def test_the_states_are_drawn_as_they_are() -> None:
    """The picture of a request's states is that of the table in force, and each state and verdict is explained."""
    page = WAY.read_text()
    assert drawn(page) == page, "python docs/states.py"
    assert set(STATES) | set(VERDICTS) <= set(re.findall(r"^\| `(\w+)` \|", page, re.M))
