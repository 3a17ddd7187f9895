"""The sections of the access log and of traces made into the snapshot's."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from edge._fast import Condition
from edge.config.building.headers import headers
from edge.config.building.references import Secrets
from edge.config.building.upstreams import is_local, read_url
from edge.config.report import Report
from edge.config.sections import observation as section
from edge.values.snapshot import AccessLog, Tracing

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


def tracing(report: Report, given: section.Tracing | None, secrets: Secrets) -> Tracing | None:
    """Where spans go; None where nobody wants any."""
    if given is None:
        return None
    at = ("tracing", "endpoint")
    url = read_url(given.endpoint)
    if url is None or url.query:
        report.problem(at, "is not an http:// or https:// URL with a host and no more than a path",
                       "for example http://127.0.0.1:4318/v1/traces; credentials go to headers")
    elif url.path in ("", "/"):
        report.problem(at, "has no path", f"collectors take spans at {given.endpoint.rstrip('/')}/v1/traces")
    fields = headers(report, secrets, ("tracing", "headers"), given.headers)
    if url is not None and url.scheme == "http" and fields and not is_local(url.hostname or ""):
        report.warn(at, "headers travel unencrypted: use https")
    return Tracing(given.endpoint, given.share, given.service, fields)


def _is_possible(path: str) -> bool:
    """Whether a file may have this name: the system has the last word on its length."""
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return True
    except (OSError, ValueError):
        return False
    return True
