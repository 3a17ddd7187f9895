"""The settings of the response cache made into the snapshot's."""

from __future__ import annotations

import mmap
from pathlib import Path

from edge._fast import CACHE_LEAST
from edge.config.report import Report
from edge.config.sections.settings import Settings
from edge.values.snapshot import Caching


def caching(report: Report, settings: Settings, workers: int, folder: Path) -> Caching | None:
    """None where there is none. Each worker has a part of it, and control another."""
    if settings.cache_max_size is None:
        for at in (("cache_dir",), *(("keys", index, "cache") for index, key in enumerate(settings.keys) if key.cache)):
            if at != ("cache_dir",) or settings.cache_dir is not None:
                report.warn(at, "has no effect: there is no response cache unless cache_max_size is set")
        return None
    least = (workers + 1) * CACHE_LEAST + mmap.PAGESIZE
    if settings.cache_max_size < least:
        report.problem(("cache_max_size",), f"is {settings.cache_max_size} bytes, which {workers} workers cannot share",
                       f"set {least} at least, for example 100MB; or leave it out for no cache")
    place = None if settings.cache_dir is None else (folder / settings.cache_dir).absolute()
    try:
        if place is not None and not place.is_dir():
            report.problem(("cache_dir",), f"there is no folder {place}", "make it, or leave it out: a cache in memory")
    except (OSError, ValueError):
        report.problem(("cache_dir",), "has a name that no folder can have", "shorten it")
    return Caching(settings.cache_max_size, settings.cache_ttl, None if place is None else str(place))
