"""The scanner at the end of memory, and its byte loops with and without SSE2."""

from __future__ import annotations

import ctypes
import random
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from edge._fast import scan
from edge._fast.scan import ScanError, scan_members
from tests.fast.cliff import Cliff
from tests.fast.slow_json import BAD, CHAT, GOOD, NAMES, PLACES

KERNEL = Path(scan.__file__).parent


def test_nothing_behind_the_text_is_read() -> None:
    """With the text against an unmapped page, cut anywhere and in every kind of value, nothing faults."""
    cliff = Cliff()
    cut = [CHAT[:size] for size in range(len(CHAT) + 1)]
    for text in (*cut, *BAD, *GOOD, *(place(value) for place in PLACES for value in BAD)):
        for padded in (text, b" " * 70 + text, b'{"x":"' + text, b'["' + b"p" * 61 + text):
            try:
                scan_members(cliff.put(padded), NAMES)
            except ScanError as error:
                assert error.position <= len(padded)


class Stop(NamedTuple):
    """Where a kernel function stopped, what it said was wrong, and whether it saw a backslash."""

    at: int
    bad: int
    escaped: int


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> list[Callable[[bytes], list[Stop]]]:
    """The byte loops compiled with and without SSE2: functions from a text to where the loops stop."""
    folder = tmp_path_factory.mktemp("kernel")
    source = folder / "kernel.c"
    source.write_text("""
        #include "scan_kernel.h"
        #define WRAP(name, call) \\
            long name(const char *text, long size, long *bad, unsigned char *escaped) { \\
                edge_text p = (edge_text)text, end = p + size, b = p, q = call; \\
                *bad = b - p; return q ? q - p : -1; }
        WRAP(string, edge_string(p, end, escaped, &b))
        WRAP(space, edge_space(p, end))
        WRAP(number, p < end ? edge_number(p, end, &b) : 0)
        int setup(void) { return edge_setup(); }
    """)
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    functions = []
    for name, flags in (("simd", []), ("portable", ["-DEDGE_SCAN_PORTABLE"])):
        library = folder / f"{name}.so"
        subprocess.run([compiler, "-std=gnu11", "-O2", "-w", "-shared", "-fPIC", *flags, f"-I{KERNEL}",
                        source, "-o", library], check=True)
        loaded = ctypes.CDLL(str(library))
        assert loaded.setup()
        functions.append(_stops(loaded))
    return functions


def _stops(library: ctypes.CDLL) -> Callable[[bytes], list[Stop]]:
    def stops(text: bytes) -> list[Stop]:
        found = []
        for function in (library.string, library.space, library.number):
            bad, escaped = ctypes.c_long(), ctypes.c_ubyte()
            function.restype = ctypes.c_long
            function.argtypes = (ctypes.c_char_p, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
            at = function(text, len(text), ctypes.byref(bad), ctypes.byref(escaped))
            found.append(Stop(at, bad.value if at < 0 else 0, escaped.value))
        return found
    return stops


def test_the_portable_loops_stop_where_the_fast_ones_do(kernels: list[Callable[[bytes], list[Stop]]]) -> None:
    """Without SSE2 the same texts end at the same bytes for the same reasons."""
    fast, portable = kernels
    rng = random.Random(5)
    parts = {b"x": 4, b"plain text of some length ": 4, b'"': 1, b"\\n": 1, b"\\u00e9": 1,
        b"\\ud83d\\ude00": 1,
             b"\xc3\xa9": 3, b" ": 1, b"\n  ": 1, b"\xe4\xbd\xa0": 3, b"\xf0\x9f\x98\x80": 1, b"\x80": 0.2,
             b"\x01": 0.2,
             b"7": 3, b"0": 1, b".": 0.5, b"e9": 0.5, b"-": 1}
    for _ in range(3000):
        text = b"".join(rng.choices([*parts], weights=[*parts.values()], k=14))
        assert fast(text) == portable(text)
    for text in BAD + GOOD:
        assert fast(text) == portable(text) and fast(text[1:]) == portable(text[1:])
