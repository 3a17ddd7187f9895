"""What pages tell their readers to type exists, and those made by a command are what it prints now."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

from tests.laws.sources import ROOT, files, relative
from tests.support.commands import fault

BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.M | re.S)
SHELL = {"", "sh", "bash", "shell", "console"}
MADE_BY = re.compile(r"\A<!-- Made by: (edge .+?) -->\n")
PAGES = files(".md")


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
    """A page that says which command made it is exactly what that command prints now."""
    for page in PAGES:
        made = MADE_BY.match(page.read_text())
        if made:
            done = subprocess.run([sys.executable, "-m", *shlex.split(made[1])], cwd=ROOT,
                                  capture_output=True, text=True, timeout=30, check=True)
            assert page.read_text().removeprefix(made[0]) == done.stdout, f"{made[1]} > {relative(page)}"
