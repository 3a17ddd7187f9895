"""From a path to a Snapshot: find the file, lay the layers, check the shape, build."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge import strict_yaml
from edge.catalogue import Snapshot

from . import shape, variables
from .build import Builder
from .layers import Layers
from .model import Settings
from .problems import INVALID, MISSING, SYNTAX, ConfigError, Place, Problem
from .report import Report

DEFAULT_PORT = 8766         # TokenPak's

_MAX_BYTES = 16 << 20
_SECRET = re.compile(r"(^|\.)(key|keys\[\d+\]|key_secret|proxy|headers\..*)$")
_NO_FLAGS: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A Snapshot with what it was made of. With `problems` it is a torso, fit for `peek` alone."""

    snapshot: Snapshot
    settings: Settings
    layers: Layers
    problems: tuple[Problem, ...]


def find(explicit: str | None = None, *, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The file: as named, else $EDGE_CONFIG, else the first there is of the usual places. None: none is."""
    named = explicit or environ.get("EDGE_CONFIG")
    if named:
        return Path(named)
    return next((path for path in _places(environ) if path.exists()), None)


def load(path: str | None = None, *, overrides: Mapping[str, object] = _NO_FLAGS,
         environ: Mapping[str, str] = os.environ, version: int = 1) -> Snapshot:
    """The Snapshot of a configuration.

    `overrides` are flags by dotted key, None for one that was not given. Raises ConfigError.
    """
    return read(path, overrides=overrides, environ=environ, version=version).snapshot


def read(path: str | None = None, *, overrides: Mapping[str, object] = _NO_FLAGS,
         environ: Mapping[str, str] = os.environ, version: int = 1) -> Loaded:
    """Like `load`, with the settings and the place of each. Raises ConfigError."""
    file = find(path, environ=environ)
    if file is None:
        places = ", ".join(str(place) for place in _places(environ))
        raise ConfigError([Problem(SYNTAX, Place("edge"), "", "Failed to load config: there is no file",
                                   f"name one with --config or $EDGE_CONFIG, or make one of {places}")])
    loaded = assemble(_layers(file), file.parent, overrides, environ, version)
    if loaded.problems:
        raise ConfigError(loaded.problems)
    return loaded


def peek(path: str | None = None, *, environ: Mapping[str, str] = os.environ) -> Loaded:
    """What file and environment say, even if some of it is wrong: for commands that need little of it.

    Raises ConfigError when there is a file and it is no YAML.
    """
    file = find(path, environ=environ)
    if file:
        return assemble(_layers(file), file.parent, _NO_FLAGS, environ, 1)
    layers = Layers("edge")
    layers.set(("port",), DEFAULT_PORT, Place("edge"))      # as the quick start
    return assemble(layers, Path(), _NO_FLAGS, environ, 1)


def address(environ: Mapping[str, str] = os.environ) -> tuple[str, int]:
    """Where a gateway with this configuration listens, as far as can be told; TokenPak's port without one."""
    try:
        settings = peek(environ=environ).settings
    except ConfigError:
        return "127.0.0.1", DEFAULT_PORT
    return settings.listen_addr, settings.port or DEFAULT_PORT


def assemble(layers: Layers, folder: Path, overrides: Mapping[str, object], environ: Mapping[str, str],
             version: int) -> Loaded:
    """The environment and the flags laid over `layers`, checked and built; problems are in the result."""
    report = Report(layers)
    report.problems += [_unread(layers.source, found) for found in layers.unread]
    variables.apply(report, environ)
    layers.flags(overrides)
    layers.fill_known()
    settings = shape.check(report)
    if not layers.data.get("keys"):
        # Not one of TokenPak's three; but a gateway before paid providers is never open.
        report.problems.append(Problem(
            MISSING, layers.place(("keys",)), "keys",
            "Config validation failed: Missing required field 'keys'",
            "without a key nobody may come in: edge auth --generate makes one, and the lines to add"))
    snapshot = Builder(report, folder.absolute(), environ).snapshot(settings, version)
    return Loaded(snapshot, settings, layers, tuple(report.problems))


def _places(environ: Mapping[str, str]) -> list[Path]:
    home = environ.get("HOME")
    at_home = [Path(home, ".edge", "config.yaml")] if home else []
    return [Path("edge.yaml"), *at_home, Path("/etc/edge/config.yaml")]


def _layers(file: Path) -> Layers:
    """The file's own layer, single values that cannot be read included. Raises ConfigError where it is no mapping."""
    name = str(file)
    try:
        with file.open("rb") as stream:
            raw = stream.read(_MAX_BYTES + 1)
        if len(raw) > _MAX_BYTES:
            raise ConfigError([_unreadable(name, f"is larger than {_MAX_BYTES >> 20} MB")])
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        place = Place(name, line, column)
        raise ConfigError([_syntax(place, "a byte that is not UTF-8", "save the file as UTF-8")]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else "no path"
        raise ConfigError([_unreadable(name, reason)]) from None
    unread: list[strict_yaml.Problem] = []
    try:
        document = strict_yaml.load(text, name)
    except strict_yaml.StrictYAMLError as error:
        if error.document is None:
            raise ConfigError([_unread(name, found) for found in error.problems]) from None
        document, unread = error.document, error.problems
    if document.data is not None and not isinstance(document.data, dict):
        raise ConfigError([*(_unread(name, found) for found in unread),
                           Problem(INVALID, Place(name, 1, 1), "", "must be a mapping of keys to values",
                                   "begin with port: 8766")])
    return Layers(name, document, unread)


def _unread(name: str, found: strict_yaml.Problem) -> Problem:
    place = Place(name, found.line, found.column)
    if _SECRET.search(found.key) and "number" in found.message:     # the loader repeats what it cannot take
        return _syntax(place, "a text that looks like a number", "put it in quotes", found.key)
    return _syntax(place, found.message, found.way_out, found.key)


def _syntax(place: Place, detail: str, way_out: str, key: str = "") -> Problem:
    message = f"Failed to load config: YAML syntax error at line {place.line}"
    return Problem(SYNTAX, place, key, message, way_out, detail)


def _unreadable(name: str, reason: str) -> Problem:
    return Problem(SYNTAX, Place(name), "", f"Failed to load config: {reason}",
                   "check the path and its permissions")
