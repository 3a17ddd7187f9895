"""EDGE_ variables: EDGE_PORT for `port`, EDGE_RATE_LIMIT__BURST_SIZE for `rate_limit.burst_size`.

A text key takes the variable as it is; any other is read as YAML, so that lists and mappings are flow style:
EDGE_MODELS='{fast: openai/gpt-5-mini}'. A list is set whole. An empty variable counts as unset: compose files
pass variables on that way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_origin

from pydantic import BaseModel, SecretStr

from edge.strict_yaml import Path, StrictYAMLError, load

from .model import Settings
from .problems import Place
from .report import Report, suggest
from .shape import field_at, known_keys, plain
from .tree import find, leaves

_OURS = re.compile(r"EDGE_[A-Z0-9_]+")
# Where the file is, and what tests, benchmarks and builds are told. Then what Kubernetes sets in every pod
# beside a Service named `edge` ("service links").
_NO_SETTING = re.compile(r"EDGE_(CONFIG|ONLY|SANITIZE|(TEST|BENCH)_\w+"
                         r"|SERVICE_(HOST|PORT\w*)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_SERVICE_URL = re.compile(r"(tcp|udp|sctp)://")


def apply(report: Report, environ: Mapping[str, str]) -> None:
    """Lay the EDGE_ variables over the tree. One that is no key and no `env:` reference is a problem."""
    tree = report.layers.data
    referred = {value[4:] for _, value in leaves(tree) if isinstance(value, str) and value.startswith("env:")}
    for name, value in sorted(environ.items()):
        if not value or not _OURS.fullmatch(name) or _NO_SETTING.fullmatch(name):
            continue
        if name == "EDGE_PORT" and _SERVICE_URL.match(value):
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
    if not path and len(key.split("_")) > 1 and key.split("_")[0] in Settings.model_fields:
        return "a key inside a section takes two underscores, as in EDGE_QUEUE__QUEUE_SIZE"
    return suggest(name, [_variable((*path, key)) for key in known])


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


