"""The fuzzer's command, in short: it finds nothing, and it would find something."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def fuzz(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command in a tree."""
    return subprocess.run([sys.executable, "tests/sanitize/fuzz.py", *arguments], cwd=root, capture_output=True,
                          text=True, timeout=110, check=False)


def test_a_short_run_finds_nothing() -> None:
    """Thousands of inputs for each parser have one reading however they are cut, which is the other readers' too."""
    done = fuzz(ROOT, "--plain", "--inputs", "60000", "--seed", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {row[0]: [int(count.replace(",", "")) for count in row[1:]]
            for row in re.findall(r"^(\S+) +([\d,]+) +([\d,]+) +[\d,]+ +[\d,]+ +([\d,]+)$", done.stdout, re.M)}
    assert len(rows) == 11 and rows["all"][0] >= 60_000
    assert all(inputs > 5000 and accepted > 100 and compared > 50 for inputs, accepted, compared in rows.values()), rows


def test_a_fault_is_found(tmp_path: Path) -> None:
    """A parser that reads one byte too far is found, its input is kept, and the command printed shows it again."""
    fast, built = tmp_path / "edge/_fast", tmp_path / "build/fuzz/edge/_fast"
    for name in ("edge", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "chunk.*.so"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, tmp_path)
    built.parent.mkdir(parents=True)
    shutil.copytree(fast, built)                # the other parsers, as they are compiled already, and the target
    for module in (ROOT / "build/fuzz-plain/edge/_fast").glob("target.*.so"):
        shutil.copy2(module, built)
    chunk = fast / "http/chunk.pyx"
    source = chunk.read_text()
    assert source.count("c.state < ENDED and at < size") == 1
    chunk.write_text(source.replace("at < size:", "at <= size:"))
    done = fuzz(tmp_path, "--targets", "chunked", "--inputs", "1000", "--workers", "1")
    assert done.returncode == 1 and "heap-buffer-overflow" in done.stdout, done.stdout + done.stderr
    again = re.search(r"^ +\S+ tests/sanitize/fuzz.py (--again (\S+))$", done.stdout, re.M)
    assert again and Path(again[2]).read_bytes()
    assert fuzz(tmp_path, *again[1].split()).returncode == 1
