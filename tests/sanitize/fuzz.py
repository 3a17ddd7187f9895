"""Fuzzes the parsers of edge/_fast: coverage-guided, under sanitizers, against themselves and other readers.

    python tests/sanitize/fuzz.py --inputs 10000000 --seed 7

Compiles the parsers in a copy (build/fuzz) with AddressSanitizer, UndefinedBehaviorSanitizer and counted blocks, and
tries inputs made of those that reached new edges, in one process for each processor. Every input is fed whole and in
pieces (check_*.pxi say what must hold): chunked bodies, and heads and streams up to some length, byte by byte; all of
them at random cuts. A share of the inputs goes to other readers (oracles.py). Ends by itself with a table; with 1 when
anything was found: each finding is saved, with the command that shows it again.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MODULES = ("http/head", "http/chunk", "json/scan", "dialect/tap",
           "contract/condition", "shared/slab")         # a tap's hash is the shared memory's
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
TARGETS = ("request", "response", "chunked", "members", "body-chat", "body-responses", "body-messages", "stream-chat",
           "stream-responses", "stream-messages")
NAME, SIZE, INPUT, EDGES = 32, 4, 4 + (1 << 14), 1 << 16      # the board of a worker; see worker.py
SILENCE = 120                       # seconds without a word from a worker: its input is one that never ends
MOST = 20                           # findings, then it is time to look at them


# ---- the copy ----

def compile_copy(copy: Path, plain: bool) -> None:
    """Compiles the parsers and the target in a copy of the tree; only what changed is compiled again."""
    skip = shutil.ignore_patterns("__pycache__", *(() if plain else ("*.so", "*.c")))
    for name in ("edge", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=skip, dirs_exist_ok=True)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, copy)
    fast = copy / "edge/_fast"
    (fast / "__init__.py").write_text("")                   # the front would want all of the modules
    old = [Path(module).name for module in MODULES
           if stale(fast / module, [*(fast / module).parent.glob("*.p*"), *fast.rglob("*.h")], fast)]
    flags = {} if plain else {"EDGE_SANITIZE": "1", "CFLAGS": "-fsanitize-coverage=trace-pc"}
    if old:
        subprocess.run([sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"], cwd=copy, check=True,
                       env={**os.environ, "EDGE_ONLY": " ".join(old), **flags}, stdout=subprocess.DEVNULL)
    compile_target(fast, copy / "tests/sanitize")


def stale(module: Path, sources: list[Path], fast: Path) -> bool:
    """Whether a module is older than its sources, or than a declaration that it may use."""
    built = module.with_name(module.name + SUFFIX)
    newest = max(path.stat().st_mtime for path in (*sources, *fast.rglob("*.pxd")))
    return not built.exists() or built.stat().st_mtime < newest


def compile_target(to: Path, sources: Path) -> None:
    """Compiles the target beside the parsers, but without what they are compiled with: it is no part of the product."""
    theirs = [sources / name for name in ("target.pyx", "check_http.pxi", "check_json.pxi", "cover.h", "mutate.h")]
    if not stale(to / "target", theirs, to):
        return
    for path in theirs:
        shutil.copy2(path, to)
    # -P: not from this folder, whose rooms have names of the standard library's.
    subprocess.run([sys.executable, "-P", "-m", "cython", "-3", "target.pyx"], cwd=to, check=True)
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")[0]
    subprocess.run([compiler, "-O1", "-fno-strict-aliasing", "-w", "-shared", "-fPIC",
                    f"-I{sysconfig.get_paths()['include']}", "target.c", "-o", f"target{SUFFIX}"], cwd=to, check=True)


def environment(copy: Path, plain: bool) -> dict[str, str]:
    """What a worker runs in. The sanitizers must be there before Python is."""
    found = {**os.environ, "PYTHONPATH": str(copy)}
    if not plain:
        libraries = (subprocess.run(["gcc", f"-print-file-name=lib{name}.so"], check=True, capture_output=True,
                                    text=True).stdout.strip() for name in ("asan", "ubsan", "stdc++"))
        found |= {"LD_PRELOAD": " ".join(libraries), "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
                  "ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=16:malloc_context_size=4"}
    return found


# ---- the workers ----

@dataclass
class Worker:
    """A process that fuzzes, and what it has told so far."""

    process: subprocess.Popen[str]
    board: Path
    log: Path
    heard: float
    told: dict[str, dict[str, Any]] = field(default_factory=dict)

    def last_input(self) -> tuple[str, bytes]:
        """The target and the input that this process tried last."""
        board = self.board.read_bytes()[:NAME + INPUT]
        size = int.from_bytes(board[NAME:NAME + SIZE], sys.byteorder)
        return board[:NAME].decode().strip(), board[NAME + SIZE:NAME + SIZE + size]


def start(number: int, options: argparse.Namespace, env: dict[str, str], copy: Path) -> Worker:
    """Starts a worker on its part of the inputs, with a seed of its own."""
    board, log = copy / f"board-{number}", copy / f"log-{number}"
    board.write_bytes(bytes(NAME + INPUT + EDGES * len(options.targets)))
    command = [sys.executable, "-m", "tests.sanitize.worker", str(board), str(-(-options.inputs // options.workers)),
               str(options.seed * 1000 + number), str(options.share), *options.targets]
    with log.open("w") as errors:
        process = subprocess.Popen(command, cwd=copy, env=env, stdout=subprocess.PIPE, stderr=errors, text=True)
    return Worker(process, board, log, time.monotonic())


class Run:
    """All workers, what they found, and how far they are."""

    def __init__(self, options: argparse.Namespace, copy: Path) -> None:
        self.options, self.copy, self.found = options, copy, 0
        self.begun = self.shown = time.monotonic()
        env = environment(copy, options.plain)
        self.workers = [start(number, options, env, copy) for number in range(options.workers)]

    def save(self, target: str, text: bytes, wrong: str) -> None:
        """Keeps a finding, and says how to see it again."""
        self.found += 1
        path = self.copy / "found" / f"{target}-{zlib.crc32(text):08x}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text)
        command = f"{sys.executable} tests/sanitize/fuzz.py{' --plain' * self.options.plain} --again {path}"
        print(f"FOUND {target}: {wrong[:2000]}\n      {command}", flush=True)

    def hear(self, worker: Worker, line: str) -> None:
        """Takes a worker's word."""
        worker.heard = time.monotonic()
        told = json.loads(line)
        worker.told[told["target"]] = told
        for text, wrong in told["found"]:
            if self.found < MOST:
                self.save(told["target"], bytes.fromhex(text), wrong)

    def end(self, worker: Worker, wrong: str = "") -> None:
        """A worker has ended, or never will; unless it ended well, its last input is a finding."""
        if wrong:
            worker.process.kill()
        if worker.process.wait() or wrong:
            target, text = worker.last_input()
            if target not in self.options.targets:
                raise SystemExit(f"a worker has not begun\n{worker.log.read_text()}")
            self.save(target, text, wrong or f"the process died\n{worker.log.read_text()}")

    def follow(self) -> None:
        """Until all workers have ended."""
        with selectors.DefaultSelector() as open_ones:
            for worker in self.workers:
                open_ones.register(worker.process.stdout, selectors.EVENT_READ, worker)     # type: ignore[arg-type]
            while open_ones.get_map() and self.found < MOST:
                for key, _ in open_ones.select(1):
                    line = key.fileobj.readline()                                           # type: ignore[union-attr]
                    if line:
                        self.hear(key.data, line)
                    else:
                        open_ones.unregister(key.fileobj)
                        self.end(key.data)
                for key in [*open_ones.get_map().values()]:
                    if time.monotonic() - key.data.heard > SILENCE:
                        open_ones.unregister(key.fileobj)
                        self.end(key.data, f"no end after {SILENCE} s")
                self.show()
        for worker in self.workers:
            worker.process.kill()

    def sum(self, what: str, target: str = "") -> int:
        """A count of a target's, or of all, over the workers."""
        return sum(told[what] for worker in self.workers for name, told in worker.told.items() if target in ("", name))

    def edges(self, target: str = "") -> int:
        """How many edges were reached, in a target or in any."""
        reached = 0
        for worker in self.workers:
            board = worker.board.read_bytes()[NAME + INPUT:]
            for place, name in enumerate(self.options.targets):
                if target in ("", name):
                    part = board[place * EDGES:(place + 1) * EDGES]
                    reached |= int.from_bytes(part.translate(bytes([0]) + bytes([1]) * 255))
        return reached.bit_count()

    def show(self) -> None:
        """A line of progress every five seconds."""
        now = time.monotonic()
        if now - self.shown > 5:
            self.shown = now
            inputs = self.sum("inputs")
            print(f"{now - self.begun:6.0f} s  {inputs:,} inputs  {inputs / (now - self.begun):,.0f}/s  "
                  f"{self.edges():,} edges  {self.sum('kept'):,} kept  {self.sum('compared'):,} compared  "
                  f"{self.found} found", flush=True)

    def table(self) -> None:
        """The end: a row for each target, and one for all."""
        row = "{:18}{:>12}{:>12}{:>8}{:>8}{:>12}".format
        print(row("", "inputs", "accepted", "edges", "kept", "compared"))
        for name in (*self.options.targets, ""):
            print(row(name or "all", *(f"{self.sum(what, name):,}" for what in ("inputs", "accepted")),
                      f"{self.edges(name):,}", *(f"{self.sum(what, name):,}" for what in ("kept", "compared"))))
        print(f"{time.monotonic() - self.begun:.0f} s, seed {self.options.seed}, "
              f"{'without' if self.options.plain else 'with'} sanitizers: {self.found or 'nothing'} found")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=10_000_000, help="in all, over the targets and the workers")
    parser.add_argument("--seed", type=int, default=1, help="runs with one seed and number of workers are alike")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--share", type=int, default=16, help="compare one of so many, and all that reach new edges")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=TARGETS, metavar="TARGET",
                        help=", ".join(TARGETS))
    parser.add_argument("--plain", action="store_true", help="with the parsers as they are compiled: at once, unguided")
    parser.add_argument("--again", type=Path, metavar="FILE", help="try one saved input")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """The command; 1 when something was found."""
    options = parse(arguments)
    copy = ROOT / "build" / ("fuzz-plain" if options.plain else "fuzz")
    copy.mkdir(parents=True, exist_ok=True)
    compile_copy(copy, options.plain)
    if options.again:
        command = [sys.executable, "-m", "tests.sanitize.worker", str(options.again.resolve())]
        return 1 if subprocess.run(command, cwd=copy, env=environment(copy, options.plain)).returncode else 0
    run = Run(options, copy)
    run.follow()
    run.table()
    return 1 if run.found else 0


if __name__ == "__main__":
    raise SystemExit(main())
