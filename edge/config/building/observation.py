"""The access log's section made into the snapshot's."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from edge._fast import Condition
from edge.config.report import Report
from edge.config.sections import observation as section
from edge.values.snapshot import AccessLog

_AT = "access_log"


def access_log(report: Report, given: section.AccessLog | None, folder: Path) -> AccessLog | None:
    """Where the lines go, and of which requests there are any; None where there is none."""
    if given is None:
        return None
    path = given.path if given.path == "-" else str(folder / given.path)
    if path != "-" and not _is_possible(path):
        report.problem((_AT, "path"), "has a name that no file can have", "shorten it")
    elif path != "-" and Path(path).is_dir():
        report.problem((_AT, "path"), f"{path} is a folder", "name a file in it")
    elif path != "-" and not Path(path).parent.is_dir():
        report.problem((_AT, "path"), f"there is no folder {Path(path).parent}", "make it, or name another file")
    for name in given.sample:
        if name not in Condition.__members__:
            close = get_close_matches(name, Condition.__members__, 1)
            report.problem((_AT, "sample", name), "is no condition",
                           f"did you mean {close[0]}?" if close else "edge errors lists them; there is ok, too")
    return AccessLog(path, given.format, tuple(given.sample.items()))


def _is_possible(path: str) -> bool:
    """Whether a file may have this name: the system has the last word on its length."""
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return True
    except (OSError, ValueError):
        return False
    return True
