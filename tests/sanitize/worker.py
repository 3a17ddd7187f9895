"""One process of the fuzzer: tries inputs, asks the oracles, and reports to the command in lines of JSON.

`python -m tests.sanitize.worker BOARD INPUTS SEED SHARE TARGET...` fuzzes; BOARD is a file through which the command
sees the edges, and the input that killed this process. `python -m tests.sanitize.worker FILE` tries one input again.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
from pathlib import Path
from typing import Any

sys.setdlopenflags(os.RTLD_GLOBAL | os.RTLD_LAZY)       # the parsers find the function that counts blocks in `target`
from edge._fast import target as fuzzed  # noqa: E402
from tests.sanitize.oracles import disagreement  # noqa: E402
from tests.sanitize.seeds import LANGUAGES  # noqa: E402

NAME, INPUT = 32, 4 + (1 << 14)     # what the board begins with: the target's name, an input's size and bytes
ROUND = 1024                        # inputs of one target, before it is the next one's turn


def begin(name: str, seed: int, current: Any) -> Any:
    """A target with its language."""
    language = LANGUAGES[name]
    return fuzzed.Target(name, language.seeds, language.words, language.seams, current, seed)


def report(target: Any, compared: int, found: list[tuple[bytes, str]]) -> None:
    """Tells the command how a target stands."""
    print(json.dumps({
        "target": target.name, "inputs": target.inputs, "accepted": target.accepted, "kept": target.kept,
        "compared": compared, "found": [(text.hex(), wrong) for text, wrong in found]}), flush=True)


def fuzz(board: Path, inputs: int, seed: int, share: int, names: list[str]) -> None:
    """Tries so many inputs, in turns, and compares one of `share` and all that were kept."""
    with board.open("r+b") as file:
        area = memoryview(mmap.mmap(file.fileno(), 0))
    targets = [begin(name, seed, area[NAME:NAME + INPUT]) for name in names]
    compared = dict.fromkeys(names, 0)
    each = -(-inputs // len(targets))
    while targets[-1].inputs < each:
        for place, target in enumerate(targets):
            area[:NAME] = target.name.encode().ljust(NAME)
            asked, found = target.run(min(ROUND, each - target.inputs), share)
            for text in asked:
                possible, wrong = disagreement(target.name, text)
                compared[target.name] += possible
                found += [(text, wrong)] if wrong else []
            at = NAME + INPUT + place * fuzzed.EDGES
            area[at:at + fuzzed.EDGES] = target.edges
            report(target, compared[target.name], found[:10])


def again(path: Path) -> int:
    """Tries one saved input; its file's name begins with the target's."""
    name, text = path.name.rpartition("-")[0], path.read_bytes()
    wrong = begin(name, 0, bytearray(INPUT)).again(text) or disagreement(name, text)[1]
    print(wrong or "nothing is wrong with this input")
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) == 2:
        raise SystemExit(again(Path(sys.argv[1])))
    fuzz(Path(sys.argv[1]), *map(int, sys.argv[2:5]), sys.argv[5:])
