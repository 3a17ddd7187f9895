"""EDGE_ variables: EDGE_PORT for `port`, EDGE_RATE_LIMIT__BURST_SIZE for `rate_limit.burst_size`.

A text key takes the variable as it is; any other is read as YAML, so that lists and mappings are flow style:
EDGE_MODELS='{fast: openai/gpt-5-mini}'. A list is set whole. An empty variable counts as unset: compose files
pass variables on that way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, get_origin

from pydantic import BaseModel, SecretStr

from edge.config.problems import Place
from edge.config.report import Report, suggest
from edge.config.sections.settings import Settings
from edge.config.shape import field_at, known_keys, plain
from edge.config.tree import find, leaves
from edge.strict_yaml import Path, StrictYAMLError, load

_OURS = re.compile(r"EDGE_[A-Z0-9_]+")
# Where the file is, where commands find a running gateway, and what tests, benchmarks and builds are told.
_NO_SETTING = re.compile(r"EDGE_(CONFIG|PIDFILE|ONLY|SANITIZE|(TEST|BENCH)_\w+)")
# What Kubernetes sets in every pod for each Service, those named edge and edge-something here: "service links",
# https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables
_SERVICE = r"EDGE(_[A-Z0-9_]*[A-Z0-9])?"
_LINK = re.compile(_SERVICE + r"_(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_LINK_BY_VALUE = re.compile(_SERVICE + r"_PORT=(tcp|udp|sctp)://.*")    # a setting is a number


def apply(report: Report, environ: Mapping[str, str]) -> None:
    """Lay the EDGE_ variables over the tree. One that is no key and no `env:` reference is a problem."""
    tree = report.layers.data
    referred = {value[4:] for _, value in leaves(tree) if isinstance(value, str) and value.startswith("env:")}
    for name, value in sorted(environ.items()):
        if not value or not _OURS.fullmatch(name) or _NO_SETTING.fullmatch(name):
            continue
        if _LINK.fullmatch(name):
            continue
        if _LINK_BY_VALUE.fullmatch(f"{name}={value}"):
            if name == "EDGE_PORT":
                report.warnings.append("environment: EDGE_PORT is a Kubernetes service link and was not used: "
                                       "set enableServiceLinks: false, or name the Service otherwise")
            continue
        path = _path(name, tree)
        if isinstance(path, str):
            if name not in referred:
                report.variable(name, "is not a setting", f"{path} - or unset it, or rename it")
        elif (found := _value(report, name, value, path)) is not None:
            report.layers.set(path, found, Place(name))


def _path(name: str, tree: Any) -> Path | str:
    """The path a variable stands for, or what to do about it."""
    path: Path = ()
    for part in name.removeprefix("EDGE_").split("__"):
        known = known_keys(path)
        key = part.lower()
        if known and key not in known:
            return _instead(name, path, key, known)
        if not known:
            kind = field_at(path)[1]
            if get_origin(kind) is not dict or not key:
                return f"set {_variable(path)} as a whole"
            key = _same_name(part, find(tree, path)) or key
        path = (*path, key)
    return path


def _instead(name: str, path: Path, key: str, known: list[str]) -> str:
    """What was meant: the nearest of the section's variables; at the top, of all that there are."""
    if path:
        return suggest(name, [_variable((*path, key)) for key in known])
    every = {_variable(each).replace("__", "_"): _variable(each) for each in _settings(Settings)}
    if (meant := every.get(name)) is not None:
        return f"did you mean {meant}? A key inside a section takes two underscores"
    near = suggest(name, [*every.values()])
    return near if near.startswith("did") else suggest(name, [_variable((key,)) for key in known])


def _settings(section: type[BaseModel], path: Path = ()) -> Iterator[Path]:
    """The paths of all keys that have a variable of their own."""
    for name, field in section.model_fields.items():
        yield (*path, name)
        kind = plain(field.annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _settings(kind, (*path, name))


def _variable(path: Path) -> str:
    return "EDGE_" + "__".join(str(step).upper() for step in path)


def _same_name(part: str, section: Any) -> str | None:
    """The entry that a variable's part means: a variable cannot hold every character of a name."""
    names: Iterable[Any] = section if isinstance(section, dict) else ()
    return next((name for name in names if re.sub(r"[^A-Z0-9]", "_", str(name).upper()) == part), None)


def _value(report: Report, name: str, text: str, path: Path) -> Any:
    kind = plain(field_at(path)[1])
    if kind in (str, SecretStr) or get_origin(kind) is Literal:
        return text
    try:
        return load(text, name).data
    except StrictYAMLError as error:
        wanted = "a mapping" if isinstance(kind, type) and issubclass(kind, BaseModel) else "a value"
        report.variable(name, f"cannot be read as {wanted}: {error.problems[0].message}",
                        "write it as YAML on one line, in quotes of your shell")
        return None


