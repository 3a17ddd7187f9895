"""A reload that fails by no fault of the file: what runs goes on, whoever asked hears why, and the next one is good."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lifecycle.test_exit import run
from tests.support.gateway import Gateway, configuration
from tests.support.simulator import Simulator
from tests.support.talk import ask, chat

# Put into the process that reads the configuration: it does what a file says instead, once.
PLANTED = """
import os, sys
if "serve" in sys.argv:
    from edge import config
    load = config.load
    def planted(*arguments, **more):
        try:
            with open(os.environ["PLANTED"]) as file:
                act = file.read()
            os.unlink(os.environ["PLANTED"])
        except OSError:
            return load(*arguments, **more)
        exec(act)
    config.load = planted
"""
ACTS = [
    ("os.kill(os.getpid(), 9)", "internal_error", "ended by signal 9 (too little memory?)"),
    ("os.kill(os.getpid(), 11)", "internal_error", "ended by signal 11"),
    ("os._exit(255)", "internal_error", "has ended by itself"),
    ("raise MemoryError", "out_of_memory", "Cannot allocate memory"),
    ("raise OSError(12, 'no')", "out_of_memory", "Cannot allocate memory"),
    ("raise OSError(28, 'no')", "disk_full", "No space left on device"),
    ("raise OSError(122, 'no')", "disk_full", "Disk quota exceeded"),
    ("raise OSError(24, 'no', 'a-file')", "internal_error", "Too many open files"),
    ("raise KeyError('sk-hidden')", "internal_error", "see the log"),
    ("raise RecursionError", "internal_error", "see the log"),
]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the planted module, and the file that says what is to be done."""
    folder = tmp_path_factory.mktemp("planted")
    (folder / "sitecustomize.py").write_text(PLANTED)
    return folder / "act"


def environ(planted: Path) -> dict[str, str]:
    """What has it planted."""
    path = os.pathsep.join(filter(None, (str(planted.parent), os.environ.get("PYTHONPATH"))))
    return {"PYTHONPATH": path, "PLANTED": str(planted)}


@pytest.fixture(scope="module")
def edge(running: Simulator, planted: Path) -> Iterator[Gateway]:
    """A gateway whose next reading can be made to fail."""
    with Gateway(configuration(running.url), environ=environ(planted)) as gateway:
        yield gateway


@pytest.mark.parametrize("by_signal", [False, True])
@pytest.mark.parametrize(("act", "condition", "words"), ACTS)
def test_a_reading_that_fails(edge: Gateway, planted: Path, act: str, condition: str, words: str,
                              by_signal: bool) -> None:
    """Whatever becomes of the process that reads the file, the version in force stays, and everybody serves on."""
    version, children = edge.metric("edge_config_version"), edge.children()
    before = edge.log().count("stays as it was")
    planted.write_text(act)
    if by_signal:
        edge.process.send_signal(signal.SIGHUP)
        edge.wait(lambda: edge.log().count("stays as it was") > before)
    else:
        found = edge.reload()
        assert (found.status_code, found.headers["x-edge-condition"]) == (500, condition)
        (problem,) = found.json()["problems"]
        assert words in problem["message"] and problem["way_out"] and "sk-hidden" not in found.text
    line = next(line for line in reversed(edge.log_lines()) if "stays as it was" in line["message"])
    assert words in line["message"]
    assert edge.metric("edge_config_version") == version and edge.children() == children
    assert ask(edge.port, chat()).status == 200
    assert edge.reload().json() == {"version": version + 1}


def test_a_full_disk_in_tokenpaks_words(running: Simulator, planted: Path) -> None:
    """An operator whose reload finds no room hears RESOURCE_002, and of no room for memory RESOURCE_001."""
    with Gateway(configuration(running.url, contract="tokenpak"), environ=environ(planted)) as edge:
        for number, code, message in ((28, "RESOURCE_002", "No space left on device"),
                                      (12, "RESOURCE_001", "Cannot allocate memory")):
            planted.write_text(f"raise OSError({number}, 'no')")
            found = edge.reload()
            error = found.json()["error"]
            assert (found.status_code, error["code"], error["message"]) == (500, code, message)
            assert int(found.headers["retry-after"]) >= 1
        assert ask(edge.port, chat()).status == 200


@pytest.mark.parametrize("act", ["os.kill(os.getpid(), 9)", "os._exit(255)", "raise OSError(28, 'no')"])
def test_a_start_that_fails(tmp_path: Path, planted: Path, act: str) -> None:
    """At the start it is exit code 1 and a line, no traceback."""
    planted.write_text(act)
    (tmp_path / "edge.yaml").write_text("port: 0\n")
    done = run(tmp_path, "serve", **environ(planted) | {"PYTHONPATH": f"{planted.parent}{os.pathsep}{Path.cwd()}"})
    assert done.returncode == 1
    assert done.stderr.startswith("Error: the configuration cannot be read: ") and done.stderr.count("\n") == 1


ROOM = [
    ("models", {f"m{number}": "openai" for number in range(4096)}, "room for 4096 targets"),
    ("providers", {f"p{number}": {"kind": "openai", "base_url": "http://127.0.0.1:1"} for number in range(257)},
     "room for 256 providers"),
]


@pytest.mark.parametrize(("section", "value", "words"), ROOM, ids=[each[0] for each in ROOM])
def test_what_there_is_no_room_for(tmp_path: Path, section: str, value: Any, words: str) -> None:
    """What the shared memory has no room for is no configuration, at a check as at a start; a few less are."""
    file = tmp_path / "edge.yaml"
    for given, command, code in ((value, ["config", "validate"], 78), (value, ["serve", "--config"], 78),
                                 (dict(list(value.items())[:-6]), ["config", "validate"], 0)):
        file.write_text(json.dumps({**configuration("http://127.0.0.1:1"), section: given}))
        done = run(tmp_path, *command, str(file), PROVIDER_KEY="sk-provider", TEST_KEY="sk-01234567890123456789")
        assert done.returncode == code, done
        assert (f"CONFIG_003 {section}: there is {words}" in done.stderr) == bool(code)
