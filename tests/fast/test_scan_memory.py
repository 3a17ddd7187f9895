"""The scanner at the end of memory, and its byte loops with and without the instructions of this processor."""

from __future__ import annotations

import ctypes
import random
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from edge._fast.json import scan
from edge._fast.json.scan import ScanError, kernels, scan_members, use_kernel
from tests.fast.cliff import Cliff
from tests.fast.slow_json import BAD, CHAT, GOOD, NAMES, PLACES

KERNEL = Path(scan.__file__).parent


@pytest.mark.parametrize("kernel", kernels())
def test_nothing_behind_the_text_is_read(kernel: str) -> None:
    """With the text against an unmapped page, cut anywhere and in every kind of value, nothing faults."""
    use_kernel(kernel)
    cliff = Cliff()
    cut = [CHAT[:size] for size in range(len(CHAT) + 1)]
    for text in (*cut, *BAD, *GOOD, *(place(value) for place in PLACES for value in BAD)):
        for padded in (text, b" " * 70 + text, b'{"x":"' + text, b'["' + b"p" * 61 + text):
            try:
                scan_members(cliff.put(padded), NAMES)
            except ScanError as error:
                assert error.position <= len(padded)
    use_kernel(kernels()[0])


class Stop(NamedTuple):
    """Where a kernel function stopped, what it said was wrong, and whether it saw a backslash."""

    at: int
    bad: int
    escaped: int


@pytest.fixture(scope="module")
def loops(tmp_path_factory: pytest.TempPathFactory) -> list[Callable[[bytes], list[Stop]]]:
    """The byte loops compiled without SSE2, and with each kernel: functions from a text to where the loops stop."""
    folder = tmp_path_factory.mktemp("kernel")
    source = folder / "kernel.c"
    source.write_text("""
        #include "scan_kernel.h"
        #define WRAP(name, call) \\
            long name(const char *text, long size, long *bad, unsigned char *escaped) { \\
                edge_text p = (edge_text)text, end = p + size, b = p; edge_part part = {0}; edge_text q = call; \\
                *bad = b - p; return q ? q - p : -1; }
        WRAP(string, edge_string(p, end, &part, escaped, &b))
        WRAP(space, edge_space(p, end))
        WRAP(number, p < end ? edge_number(p, end, &b) : 0)
        int setup(int kernel) { return edge_setup() && edge_use_kernel(EDGE_KERNELS - 1 - kernel); }
    """)
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    functions = []
    for kernel, flags in enumerate((["-DEDGE_SCAN_PORTABLE"], *([] for _ in kernels()))):
        library = folder / f"{kernel}.so"
        subprocess.run([compiler, "-std=gnu11", "-O2", "-w", "-shared", "-fPIC", *flags, f"-I{KERNEL}",
                        source, "-o", library], check=True)
        loaded = ctypes.CDLL(str(library))
        assert loaded.setup(max(0, kernel - 1))
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


def test_all_loops_stop_where_the_portable_ones_do(loops: list[Callable[[bytes], list[Stop]]]) -> None:
    """With and without SSE2, AVX2 and AVX-512, the same texts end at the same bytes for the same reasons."""
    rng = random.Random(5)
    parts = {b"x": 4, b"plain text of some length ": 4, b'"': 1, b"\\n": 1, b"\\u00e9": 1, b"\\ud83d\\ude00": 1,
             b"\xc3\xa9": 3, b" ": 1, b"\n  ": 1, b"\xe4\xbd\xa0": 3, b"\xf0\x9f\x98\x80": 1, b"\x80": 0.2,
             b"\x01": 0.2, b"7": 3, b"0": 1, b".": 0.5, b"e9": 0.5, b"-": 1}
    texts = [b"".join(rng.choices([*parts], weights=[*parts.values()], k=14)) for _ in range(3000)]
    for text in (*texts, *BAD, *GOOD, *(value[1:] for value in BAD + GOOD)):
        portable, *others = (stops(text) for stops in loops)
        assert all(stops == portable for stops in others)
