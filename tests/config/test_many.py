"""Files of thousands of entries: the work grows with the file, and no faster."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.config import ConfigError, read

HEAD: dict[str, Any] = {"port": 1, "listen_addr": "127.0.0.1", "providers": {
    "a": {"kind": "openai", "base_url": "http://127.0.0.1:1/v1"}}, "keys": [{"name": "a", "hash": f"blake2b:{0:064x}"}]}


def provider(number: int, *models: str) -> dict[str, Any]:
    """One of its own address."""
    return {"kind": "openai", "base_url": f"http://127.0.0.1:{number + 1}/v1", "models": [*models]}


FILES: dict[str, Callable[[int], dict[str, Any]]] = {
    "models": lambda n: {"models": {f"model-{i}": ["a/x", f"a/y-{i}"] for i in range(n)}},
    "patterns": lambda n: {"models": {f"family-{i}-*": "a" for i in range(n)}},
    "patterns by their ends": lambda n: {"models": {f"*-family-{i}": "a" for i in range(n)}},
    "patterns that are never reached": lambda n: {"models": {"*": "a", **{f"x-{i}-*": "a" for i in range(n)}}},
    "keys": lambda n: {"keys": [{"name": f"key-{i}", "hash": f"blake2b:{i:064x}", "models": [f"model-{i}"],
                                 "rate_limit": {"requests_per_second": 1}} for i in range(n)]},
    "providers": lambda n: {"providers": {f"p{i}": provider(i, f"m-{i}-*", f"n-{i}") for i in range(n)}},
    "providers of models": lambda n: {
        "providers": {f"p{i}": provider(i, f"m{i}-*") for i in range(n)},
        "models": {f"m{i}-x": f"p{i}" for i in range(n)}, "fallback": {f"p{i}": "p0/m0-x" for i in range(1, n)}},
    "one provider of many models": lambda n: {
        "providers": {"a": provider(1, *(f"m-{i}" for i in range(n)))}, "models": {f"m-{i}": "a" for i in range(n)}},
    "chains": lambda n: {"models": {f"m-{i}": "a" for i in range(n)},
                         "fallback": {f"m-{i}": [f"m-{i + 1}"] for i in range(n - 1)}},
    "a long chain": lambda n: {"models": {f"m-{i}": "a" for i in range(n)},
                               "fallback": {"m-0": [f"m-{i}" for i in range(1, n)]}},
    "routes": lambda n: {"routes": {f"/v1/x{i}*": "a" for i in range(n)}},
    "unknown keys": lambda n: {f"unknown-{i}": 1 for i in range(n)},
    "unknown providers": lambda n: {"providers": {f"p{i}": provider(i) for i in range(n)},
                                    "models": {f"m-{i}": f"q{i}" for i in range(n)}},
    "wrong values": lambda n: {"models": {f"m-{i}": 5 for i in range(n)}},
    "wrong keys": lambda n: {"keys": [{"name": "a"} for _ in range(n)]},
    "values missing": lambda n: {"models": {f"m-{i}": None for i in range(n)}}}


def calls(path: Path, tree: dict[str, Any]) -> int:
    """How many functions are called to check a file. (Of a loop that calls none there are none left.)"""
    path.write_text(yaml.safe_dump({**HEAD, **tree}, sort_keys=False))
    count = 0

    def counted(*event: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(counted)
    try:
        read(str(path), environ={})
    except ConfigError:
        pass
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("made", FILES.values(), ids=FILES)
def test_work_grows_with_the_file(tmp_path: Path, made: Callable[[int], dict[str, Any]]) -> None:
    """Four times the entries are about four times the work, whatever they are and whether right or wrong."""
    few, many = (calls(tmp_path / "edge.yaml", made(number)) for number in (150, 600))
    none = calls(tmp_path / "edge.yaml", made(1))
    assert (many - none) / (few - none) < 5
