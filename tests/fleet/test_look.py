"""`make fleet`: what it prints works as it is typed, and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge import __version__
from tests.fleet.server import until
from tests.support.commands import fault

ROOT = Path(__file__).parents[2]


def test_a_fleet_to_look_at() -> None:
    """Its lines ask one host and all of them, who let one burst through together, and show the fleet; then all ends."""
    line = re.search(r"^fleet:.*\n\t@\$\(BIN\)/python (.*)$", ROOT.joinpath("Makefile").read_text(), re.M)
    assert line is not None
    look = subprocess.Popen([sys.executable, *line[1].split()], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                            start_new_session=True)
    try:
        assert look.stdout is not None
        said = ""
        while "Ctrl-C" not in said:
            said += (piece := look.stdout.readline())
            assert piece, said
        assert set(re.findall(r"//([^:/]+)", said)) == {"127.0.0.1"}
        one, every, shown, away = re.findall(r"^  ((?:curl|for|kill|\S*edge) .*(?:\n  .*)*)", said, re.M)
        assert fault(shown.replace("/edge ", "/ edge ")) is None
        until(lambda: '"choices"' in run(one), 30)       # a limit begins empty
        statuses = run(every).split()
        assert set(statuses) == {"200", "429"} and len(statuses) == 24
        until(lambda: len(re.findall(rf"^[0-9a-f]+ .* {re.escape(__version__)} ", run(shown), re.M)) == 3, 30)
        assert "kill -STOP" in away and "kill -CONT" in away
    finally:
        os.killpg(look.pid, signal.SIGINT)
        assert look.wait(30) == 0
    for number in re.findall(r"process (\d+)", said):
        with pytest.raises(ProcessLookupError):
            os.kill(int(number), 0)


def run(line: str) -> str:
    """What a line of a shell prints."""
    return subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
