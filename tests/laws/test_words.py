"""What is written beside the code: docstrings that state requirements, and words that mean something here."""

from __future__ import annotations

import ast
import re

from tests.laws.sources import COMPILED, ROOT, files, relative

# Words that name nothing, and ways out of the repository. The brackets keep this list from finding itself.
EMPTY = re.compile(
    r"\bhelp[e]rs?\b|\.\./share[d]\b|\.librar[y]\b|\bissue #?[0]*[1-9]|/wor[k]/|/tm[p]/setup\b", re.I)
ENVIRONMENT = re.compile(r"\bos\.(?:environ|getenv)\b|\bfrom os import .*\b(?:environ|getenv)\b")
READERS = ("edge/config/", "edge/cli/")
SECOND_SENTENCE = re.compile(r"[.!?][)\"'`]?\s+[A-Z]")


def test_requirements_are_one_sentence() -> None:
    """Every test has a docstring of one sentence, which is the requirement that it holds."""
    wrong = []
    for path in files(".py"):
        if not path.is_relative_to(ROOT / "tests"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                text = (ast.get_docstring(node) or "").replace("e.g. ", "").replace("i.e. ", "")
                if not text.endswith(".") or "\n\n" in text or SECOND_SENTENCE.search(text):
                    wrong.append(f"{relative(path)}:{node.lineno} {node.name}: {text!r}")
    assert wrong == []


def test_files_say_what_they_are() -> None:
    """Cython files open with a docstring or a comment that says what they hold."""
    opening = re.compile(r'(?:# (?:cython|distutils):.*\n)*("""[A-Z`_a-z]|# [A-Za-z`])')
    assert [relative(path) for path in files(*COMPILED) if not opening.match(path.read_text())] == []


def test_words_mean_something() -> None:
    """No text uses words that name nothing, or points to what is outside of the repository."""
    assert [f"{relative(path)}: {found[0]}" for path in files()
            for found in EMPTY.finditer(path.read_text())] == []


def test_no_handler_returns() -> None:
    """Compiled code leaves no `except` block by return, break or continue."""
    wrong = []          # where there was no memory for a traceback, Cython gives back one that is not there: a crash
    for path in files(".pyx", ".pxi"):
        depth = None
        for number, line in enumerate(path.read_text().splitlines(), 1):
            indent = len(line) - len(line.lstrip())
            if line.strip() and depth is not None and indent <= depth:
                depth = None
            if depth is not None and re.match(r"\s*(return|break|continue)\b", line):
                wrong.append(f"{relative(path)}:{number}: {line.strip()}")
            if re.match(r"\s*except\b.*:$", line):
                depth = indent
    assert wrong == []


def test_the_environment_is_read_in_one_place() -> None:
    """Only the configuration and the command line read the environment; others are given what they need."""
    assert [relative(path) for path in files(".py", *COMPILED)
            if path.is_relative_to(ROOT / "edge") and not relative(path).startswith(READERS)
            and ENVIRONMENT.search(path.read_text())] == []
