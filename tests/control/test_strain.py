"""What the host is short of, read from files of the kernel as they are in control groups and on machines without."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.control import strain
from edge.values.snapshot import Overload

MEMINFO = "MemTotal:       1000 kB\nMemFree:  100 kB\nMemAvailable:    250 kB\n"
PRESSURE = "some avg10=30.00 avg60=1.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"


def kernel(root: Path, **files: str) -> Path:
    """A root with such files; `_` stands for a slash, `-` for a point."""
    for name, text in {"proc_self_cgroup": "0::/a/b\n", "proc_meminfo": MEMINFO, **files}.items():
        path = root / name.replace("_", "/").replace("-", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def group(name: str, limit: str, used: int, idle: int) -> dict[str, str]:
    """A control group's files."""
    place = f"sys_fs_cgroup_{name}"
    return {f"{place}_memory-max": f"{limit}\n", f"{place}_memory-current": f"{used}\n",
            f"{place}_memory-stat": f"anon 5\ninactive_file {idle}\nactive_file 7\n"}


@pytest.mark.parametrize(("files", "share"), [
    ({}, 0.75), (group("a", "max", 900, 0), 0.75), (group("a_b", "1000", 950, 150), 0.8),
    ({**group("a_b", "1000", 500, 0), **group("a", "2000", 1900, 100)}, 0.9), (group("a_b", "1000", 100, 500), 0.0),
    ({**group("a_b", "1000", 500, 0), "sys_fs_cgroup_a_b_memory-stat": "nonsense\n"}, 0.5),
    (group("a_b", "0", 5, 0), 0.75), ({"proc_meminfo": "?"}, 0.0)])
def test_memory(tmp_path: Path, files: dict[str, str], share: float) -> None:
    """The fullest of our groups that have a limit counts, without idle pages of files; without one the machine."""
    assert strain.memory(kernel(tmp_path, **files)) == pytest.approx(share)


@pytest.mark.parametrize(("files", "share"), [
    ({}, 0.0), ({"sys_fs_cgroup_a_b_memory-pressure": PRESSURE}, 0.3), ({"proc_pressure_memory": PRESSURE}, 0.3),
    ({"proc_pressure_memory": "nonsense\n"}, 0.0)])
def test_stalls(tmp_path: Path, files: dict[str, str], share: float) -> None:
    """The share of the last ten seconds in which some work of our group, or of the machine, waited for memory."""
    assert strain.stalls(kernel(tmp_path, **files)) == pytest.approx(share)


@pytest.mark.parametrize(("overload", "found"), [
    (Overload(), (0, 0)), (Overload(memory=0.7), (strain.MEMORY, 75)), (Overload(memory=0.75), (0, 0)),
    (Overload(memory=0.9, memory_stalls=0.2), (strain.STALLS, 30)), (Overload(disk=1e-9), None),
    (Overload(disk=1), (0, 0))])
def test_what_is_over_its_threshold(tmp_path: Path, overload: Overload, found: tuple[int, int] | None) -> None:
    """The first that is over its threshold is told with its share; without thresholds nothing is looked at."""
    root = kernel(tmp_path, **{"proc_pressure_memory": PRESSURE})
    told = strain.look(overload, [str(tmp_path)], root)
    assert told == found or (found is None and told[0] == strain.DISK and 0 <= told[1] <= 100)


def test_a_place_that_is_gone(tmp_path: Path) -> None:
    """A folder that is not there is no full disk."""
    assert strain.look(Overload(disk=1e-9), [str(tmp_path / "none")]) == (0, 0)
