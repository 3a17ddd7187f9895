"""A file, a function and a list of parameters stay of a size that one reading takes in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.laws.sources import Function, files, functions, relative

LINES = {".py": 500, ".pyi": 500, ".pyx": 700, ".pxi": 700, ".pxd": 700, ".h": 700}
FUNCTION_LINES = 60
PARAMETERS = 6


@pytest.fixture(scope="module")
def found() -> list[Function]:
    """All functions of the repository."""
    return [each for path in files(".py", ".pyx", ".pxi") for each in functions(path)]


def test_files_end_in_time() -> None:
    """A Python file stops at 500 lines, a Cython file at 700."""
    sizes = {path: len(path.read_text().splitlines()) for path in files(*LINES)}
    assert [f"{relative(path)}: {size}" for path, size in sizes.items() if size > LINES[path.suffix]] == []


def test_functions_end_in_time(found: list[Function]) -> None:
    """A function stops at 60 lines, its docstring included."""
    assert [f"{each}: {each.lines} lines" for each in found if each.lines > FUNCTION_LINES] == []


def test_functions_take_few_parameters(found: list[Function]) -> None:
    """A function takes six parameters at most, `self` not counted."""
    assert [f"{each}: {each.parameters}" for each in found if each.parameters > PARAMETERS] == []


def test_cython_functions_are_measured(tmp_path: Path) -> None:
    """Functions of Cython files are found with their lines and parameters, declarations are not."""
    source = tmp_path / "sample.pyx"
    source.write_text(
        "cdef int declared(int a) noexcept nogil\n"
        "cdef extern from *:\n    int also_declared(int a, int b)\n"
        "cdef inline int two(const char* a,\n                    int b) noexcept nogil:   # (why: not)\n"
        "    cdef int c = f(a, b)\n\n    return c\n\n\n"
        "cdef class Thing(Base):\n    def method(self, object a=(1, 2), *, b=None):\n        pass\n")
    assert list(functions(source)) == [Function(source, "two", 4, 5, 2), Function(source, "method", 12, 2, 2)]
