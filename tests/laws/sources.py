"""The repository's files, and what the laws need to know about the functions in them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOPS = ("edge", "tests", "bench", "deploy", "docs", ".ci")
COMPILED = (".pyx", ".pxi", ".pxd")
TEXT = {".py", ".pyi", *COMPILED, ".h", ".md", ".toml", ".yaml", ".yml", ".in", ".lua", ".service", ".sh", ""}
_HEADER = re.compile(r"^(?P<indent> *)(?:cdef|cpdef|def|async def)\b"
                     r"(?! *(?:class|extern|struct|enum|union)\b)"
                     r"[^(=#\n]*?(?P<name>\w+) *\((?P<rest>.*)", re.S)


def relative(path: Path) -> str:
    """A path as messages show it."""
    return str(path.relative_to(ROOT))


def files(*suffixes: str) -> list[Path]:
    """The repository's own text files with one of these suffixes (all of them, when none is given)."""
    wanted = set(suffixes) or TEXT
    found = [path for path in ROOT.iterdir() if path.is_file() and path.name != ".git"]
    for top in TOPS:
        found += [path for path in (ROOT / top).rglob("*") if path.is_file()]
    return sorted(path for path in found if path.suffix in wanted and "__pycache__" not in path.parts)


@dataclass(frozen=True, slots=True)
class Function:
    """A function's place, the lines it spans and the parameters it takes (`self` and `cls` not counted)."""

    path: Path
    name: str
    line: int
    lines: int
    parameters: int

    def __str__(self) -> str:
        return f"{relative(self.path)}:{self.line} {self.name}"


def functions(path: Path) -> Iterator[Function]:
    """All functions of a Python or Cython file."""
    return _python(path) if path.suffix == ".py" else _cython(path)


def _python(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            names = [argument.arg for argument in given if argument.arg not in ("self", "cls")]
            assert node.end_lineno is not None
            yield Function(path, node.name, node.lineno, node.end_lineno - node.lineno + 1, len(names))


def _cython(path: Path) -> Iterator[Function]:
    """By indentation: a header ends at the colon behind its closed parentheses, a body where it is left."""
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        header = _HEADER.match(line)
        if not header:
            continue
        rest, last = header["rest"], number
        while rest.count("(") + 1 > rest.count(")") and last + 1 < len(lines):
            last += 1
            rest += "\n" + lines[last]
        if not rest.split("#")[0].rstrip().endswith(":"):
            continue                                # a declaration
        end = last
        for following in range(last + 1, len(lines)):
            text = lines[following]
            if text.strip() and len(text) - len(text.lstrip()) <= len(header["indent"]):
                break
            end = following if text.strip() else end
        yield Function(path, header["name"], number + 1, end - number + 1, _parameters(rest))


def _parameters(rest: str) -> int:
    """How many parameters stand before the parenthesis that closes the list."""
    depth, count, current = 0, 0, ""
    for character in re.sub(r"#.*", "", rest):
        if character == ")" and depth == 0:
            break
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            count += _counts(current)
            current = ""
        else:
            current += character
    return count + _counts(current)


def _counts(parameter: str) -> bool:
    return parameter.strip() not in ("", "*", "/", "self", "cls")
