"""deploy/edge.service against the gateway that it runs. `systemd.sh` beside this runs it under a real systemd."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edge.config import ConfigError
from edge.process.pidfile import places
from edge.values.snapshot import Snapshot
from tests.support.commands import fault

UNIT = Path(__file__).parents[2] / "deploy/edge.service"
USAGE = 2


@pytest.fixture(scope="module")
def unit() -> dict[str, list[str]]:
    """The unit's settings; each may be given more than once."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_its_commands_exist(unit: dict[str, list[str]]) -> None:
    """What starts and what reloads it are commands of this version."""
    lines = [line for line in unit["ExecStart"] + unit["ExecReload"] if "edge" in line]
    assert len(lines) == 2
    assert [wrong for line in lines if (wrong := fault(line.replace("/opt/edge/bin/edge", "edge")))] == []


def test_it_waits_for_readiness(unit: dict[str, list[str]]) -> None:
    """Readiness and signs of life come from the main process, and a reload waits for its outcome."""
    assert unit["Type"] == ["notify"] and unit["NotifyAccess"] == ["main"]
    assert int(unit["WatchdogSec"][0]) > 0
    assert unit["ExecReload"] == ["/opt/edge/bin/edge reload"]


def test_its_reload_needs_no_secret(unit: dict[str, list[str]]) -> None:
    """A reload gets no credentials: it finds the gateway by what that has left in the runtime directory."""
    assert unit["RuntimeDirectory"] == ["edge"] and unit["LoadCredential"]
    assert places({"RUNTIME_DIRECTORY": "/run/edge"}, 8767)[0] == Path("/run/edge/edge.pid")


def test_it_may_write_its_access_log(unit: dict[str, list[str]]) -> None:
    """The folder that examples name for the access log is made for it, and is its own."""
    assert unit["LogsDirectory"] == ["edge"]
    assert "path: /var/log/edge/access.log" in (UNIT.parent / "edge.example.yaml").read_text()


def test_it_may_write_its_store(unit: dict[str, list[str]]) -> None:
    """There is a folder of its own, closed to others, for the keys that admins make, where pages and image say."""
    assert unit["StateDirectory"] == ["edge"] and unit["StateDirectoryMode"] == ["0700"]
    for name in ("edge.service", "Dockerfile"):
        assert "store: /var/lib/edge/edge.db" in (UNIT.parent / name).read_text()


def test_it_lets_streams_finish(unit: dict[str, list[str]]) -> None:
    """Stopping signals the supervisor alone, and waits longer than a drain takes."""
    default = Snapshot.__dataclass_fields__["drain_timeout"].default
    assert unit["KillMode"] == ["mixed"]
    assert int(unit["TimeoutStopSec"][0]) >= default + 10


def test_it_does_not_retry_what_cannot_succeed(unit: dict[str, list[str]]) -> None:
    """Wrong usage and a wrong configuration are not started again."""
    assert unit["RestartPreventExitStatus"] == [f"{USAGE} {ConfigError.exit_code}"]


def test_it_is_confined(unit: dict[str, list[str]]) -> None:
    """It runs as a user of its own without capabilities, and systemd's own judgement of the rest is good."""
    assert unit["User"] != ["root"] and unit["CapabilityBoundingSet"] == [""]
    assert unit["NoNewPrivileges"] == ["yes"] and unit["ProtectSystem"] == ["strict"]
    tool = shutil.which("systemd-analyze")
    if tool:                                        # exposure is told in tenths: 15 is "1.5"
        judged = subprocess.run([tool, "security", "--offline=true", "--threshold=15", str(UNIT)],
                                capture_output=True, text=True, check=False, timeout=60)
        assert judged.returncode == 0, judged.stdout[-200:] + judged.stderr
        told = subprocess.run([tool, "verify", "--man=no", str(UNIT)], capture_output=True, text=True,
                              check=False, timeout=60).stderr
        assert [line for line in told.splitlines()
                if "edge.service" in line and "is not executable" not in line] == []
