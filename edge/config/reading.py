"""From a path to a Snapshot: find the file, lay the layers, check the shape, build."""

from __future__ import annotations

import errno
import os
import re
import select
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge import strict_yaml
from edge.config import shape, variables
from edge.config.building.snapshot import Builder
from edge.config.layers import Layers
from edge.config.problems import INVALID, MISSING, SYNTAX, ConfigError, Place, Problem
from edge.config.report import Report
from edge.config.sections.settings import Settings
from edge.config.where import find, places
from edge.values.snapshot import Snapshot

DEFAULT_PORT = 8766         # TokenPak's

_MAX_BYTES = 16 << 20
_PIPE_SECONDS = 2.0         # that a pipe may say nothing
_WAYS_OUT = {
    errno.ENOENT: "check the path; edge config init writes a file to begin with",
    errno.EACCES: "let the user that edge runs as read it, and enter the folders above it",
    errno.EISDIR: "name the file in it, for example edge.yaml",
    errno.EINVAL: "name a file",
    errno.EPIPE: "name a file: a reload reads it again",
    errno.EFBIG: "thousands of keys and models fit; is this the right file?"}
_SECRET = re.compile(r"(^|\.)(key|keys\[\d+\]|key_secret|proxy|headers\..*)$")
_NO_FLAGS: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A Snapshot with what it was made of. With `problems` it is a torso, fit for `peek` alone."""

    snapshot: Snapshot
    settings: Settings
    layers: Layers
    problems: tuple[Problem, ...]


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
        usual = ", ".join(str(place) for place in places(environ))
        raise ConfigError([Problem(SYNTAX, Place("edge"), "", "Failed to load config: there is no file",
                                   f"name one with --config or $EDGE_CONFIG, or make one of {usual}: "
                                   "edge config init writes one")])
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


def address(environ: Mapping[str, str] = os.environ) -> tuple[str, int, bool]:
    """Where a gateway with this configuration listens, and whether behind PROXY headers, as far as can be told."""
    try:
        settings = peek(environ=environ).settings
    except ConfigError:
        return "127.0.0.1", DEFAULT_PORT, False
    return settings.listen_addr, settings.port or DEFAULT_PORT, settings.proxy_protocol


def assemble(layers: Layers, folder: Path, overrides: Mapping[str, object], environ: Mapping[str, str],
             version: int) -> Loaded:
    """The environment and the flags laid over `layers`, checked and built; problems are in the result."""
    report = Report(layers)
    report.problems += [_unread(layers.source, found) for found in layers.unread]
    variables.apply(report, environ)
    layers.flags(overrides)
    layers.fill_known()
    settings = shape.check(report)
    if not layers.data.get("keys") and settings.store is None:
        # Not one of TokenPak's three; but a gateway before paid providers is never open.
        report.problems.append(Problem(
            MISSING, layers.place(("keys",)), "keys",
            "Config validation failed: Missing required field 'keys'",
            "without a key nobody may come in: edge auth --generate makes one, and the lines to add"))
    snapshot = Builder(report, folder.absolute(), environ).snapshot(settings, version)
    return Loaded(snapshot, settings, layers, tuple(report.problems))


def _layers(file: Path) -> Layers:
    """The file's own layer, single values that cannot be read included. Raises ConfigError where it is no mapping."""
    name = str(file)
    text = _text(file)
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


def _text(file: Path) -> str:
    """What is in the file. Raises ConfigError."""
    name = str(file)
    try:
        raw = _bytes(file)
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        detail, way_out = "a byte that is not UTF-8", "save the file as UTF-8"
        if b"\0" in raw[:1024] and not raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            detail, way_out = "no text at all", "name the YAML file"
        raise ConfigError([_syntax(Place(name, line, column), detail, way_out)]) from None
    except (OSError, ValueError) as error:
        code = error.errno if isinstance(error, OSError) else None
        reason = error.strerror or str(error) if isinstance(error, OSError) else "no path"
        raise ConfigError([Problem(SYNTAX, Place(name), "", f"Failed to load config: {reason}",
                                   _WAYS_OUT.get(code or 0, "check the path and its permissions"))]) from None


def _bytes(file: Path) -> bytes:
    """The content of a file, or of a pipe that somebody writes to. OSError: it cannot be had."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode) and not stat.S_ISFIFO(mode):
            raise OSError(errno.EINVAL, "Not a file")
        if stat.S_ISFIFO(mode) and not select.select([descriptor], [], [], _PIPE_SECONDS)[0]:
            raise OSError(errno.EPIPE, "Nobody writes to this pipe")
        os.set_blocking(descriptor, True)
        raw = bytearray()
        while (piece := stream.read(1 << 20)) and len(raw) <= _MAX_BYTES:
            raw += piece
        if len(raw) > _MAX_BYTES:
            raise OSError(errno.EFBIG, f"The file is larger than {_MAX_BYTES >> 20} MB")
        return bytes(raw)


def _unread(name: str, found: strict_yaml.Problem) -> Problem:
    place = Place(name, found.line, found.column)
    if _SECRET.search(found.key) and "number" in found.message:     # the loader repeats what it cannot take
        return _syntax(place, "a text that looks like a number", "put it in quotes", found.key)
    return _syntax(place, found.message, found.way_out, found.key)


def _syntax(place: Place, detail: str, way_out: str, key: str = "") -> Problem:
    message = f"Failed to load config: YAML syntax error at line {place.line}"
    return Problem(SYNTAX, place, key, message, way_out, detail)
