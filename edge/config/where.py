"""Where the configuration is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def find(explicit: str | None = None, *, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The file: as named, else $EDGE_CONFIG, else the first there is of the usual places. None: none is."""
    named = explicit or environ.get("EDGE_CONFIG")
    if named:
        return Path(named)
    return next((path for path in places(environ) if _is_there(path)), None)


def places(environ: Mapping[str, str]) -> list[Path]:
    """Where it is looked for, in this order."""
    home = environ.get("HOME")
    at_home = [Path(home, ".edge", "config.yaml")] if home else []
    tokenpak = [Path(home, ".tokenpak", "config.yaml")] if home else []
    return [Path("edge.yaml"), *at_home, Path("/etc/edge/config.yaml"), *tokenpak]


def _is_there(path: Path) -> bool:
    """Whether there is a file, or something that keeps us from seeing it: to read it says what."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return path.is_symlink()
    except OSError:
        pass
    return True
