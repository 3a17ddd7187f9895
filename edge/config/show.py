"""The effective configuration as YAML: every default, where each value comes from, no secret.

What it prints loads again to the same Snapshot. References to secrets (env:, file:) are shown as they are; a
secret in plain text is `***`, which the loader asks to be put back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, SecretStr

from edge.config.building import proxies
from edge.config.building.references import MASK, is_reference
from edge.config.building.routing import default_models
from edge.config.building.snapshot import admin_port, cores
from edge.config.building.upstreams import asks_usage, bundle
from edge.config.layers import Layers
from edge.config.problems import Place
from edge.config.reading import Loaded
from edge.config.sections.models import Target
from edge.config.sections.providers import UPSTREAM
from edge.config.shape import field_at
from edge.config.tree import find, present
from edge.dialects.kinds import KEY_HEADERS
from edge.store import places
from edge.strict_yaml import Path
from edge.strict_yaml.writing import flow, scalar

_TLS = ("SSL_CERT_FILE", "SSL_CERT_DIR")    # read by OpenSSL itself
_COLUMN = 48                                # where the notes begin


def show(loaded: Loaded, environ: Mapping[str, str]) -> str:
    """YAML text with a note after each value."""
    lines = ["# The effective configuration: what is not set shows its default."]
    lines += [f"# TLS roots: {name}={environ[name]}" for name in _TLS if environ.get(name)]
    lines += [f"# warning: {warning}" for warning in loaded.snapshot.warnings]
    tree = _effective(loaded, environ)
    lines += list(_lines(loaded, tree, ()))
    return "\n".join(lines) + "\n"


class _Noted:
    """A value with a note of its own instead of its origin."""

    def __init__(self, value: Any, note: str) -> None:
        self.value = value
        self.note = note


def _effective(loaded: Loaded, environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings as a tree, with the defaults that depend on other keys filled in. None: not set."""
    settings = loaded.settings
    tree: dict[str, Any] = _tree(settings)
    if settings.workers is None:
        tree["workers"] = _Noted("auto", f"{cores()} here")
    if settings.admin.port is None:
        tree["admin"]["port"] = _Noted(admin_port(settings), "default: port + 1")
    made = {each.name: each for each in loaded.snapshot.providers}
    for name, provider in settings.providers.items():
        section = tree["providers"][name]
        times = section["timeouts"]
        if provider.key_header is None:
            by_host = made[name].key_header if name in made else None
            section["key_header"] = _Noted(by_host or KEY_HEADERS[provider.kind], "by host" if by_host else "by kind")
        if provider.stream_usage is None:
            section["stream_usage"] = _Noted(asks_usage(provider), "true at api.openai.com")
        if provider.timeouts.first_byte is None:
            times["first_byte"] = (_Noted(UPSTREAM.first_byte_timeout, "default") if settings.timeout is None
                                   else _Noted(settings.timeout, "timeout"))
        if provider.timeouts.total is None and settings.timeout is None:
            times["total"] = _Noted(UPSTREAM.total_timeout, "default")
        if provider.ca_bundle is None and made[name].ca_bundle is not None:
            section["ca_bundle"] = _Noted(made[name].ca_bundle, str(bundle(environ)))
        if provider.proxy is not None:
            proxy = provider.proxy.get_secret_value()
            section["proxy"] = MASK if "@" in proxy else proxy
        elif variable := proxies.variable(provider.base_url, environ):
            section["proxy"] = _Noted(f"env:{variable}", variable)
    if settings.store is not None:
        place = settings.store.get_secret_value()
        tree["store"] = MASK if places.is_url(place) and places.has_password(place) else place
    if settings.rate_limit and settings.rate_limit.requests_per_second is None:
        tree["rate_limit"]["requests_per_second"] = _Noted(settings.rate_limit.rate, "default")
    for index, key in enumerate(settings.keys):
        if key.rate_limit and key.rate_limit.burst_size is None:
            limit = tree["keys"][index]["rate_limit"]
            limit["burst_size"] = _Noted(key.rate_limit.burst, "one second's worth")
    tree["models"] = {name: _targets(targets) for name, targets in settings.models.items()} or {
        model.name: _Noted([target.provider for target in model.targets], "by dialect")
        for model in default_models(loaded.snapshot.providers)}
    return tree


def _targets(targets: Sequence[Target]) -> list[Any]:
    """In the short form where it says all there is to say."""
    if all(target.weight == 1 and target.priority is None for target in targets):
        return [target.provider if target.model is None else f"{target.provider}/{target.model}" for target in targets]
    return [_tree(target) | ({"priority": _Noted(place, "place in the list")} if target.priority is None else {})
            for place, target in enumerate(targets)]


def _tree(value: Any) -> Any:
    """A model's fields as mappings, lists and scalars."""
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        return {name: _tree(item) for name, item in (fields | (value.model_extra or {})).items()}
    if isinstance(value, dict):
        return {name: _tree(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_tree(item) for item in value]
    if isinstance(value, SecretStr):
        return value.get_secret_value() if is_reference(value.get_secret_value()) else MASK
    return value


def _lines(loaded: Loaded, tree: Mapping[str, Any], path: Path, lead: str = "") -> Iterator[str]:
    """The lines of a mapping. `lead` stands before its first key: the dash of a list's entry."""
    indent = "  " * len(path)
    for number, (key, value) in enumerate(tree.items()):
        here = (*path, key)
        head = f"{lead if lead and not number else indent}{scalar(key)}:"
        if value is None:
            yield f"{indent}# {key}:".ljust(_COLUMN) + "  # not set"
        elif isinstance(value, dict) and value:
            yield head
            yield from _lines(loaded, value, here)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield head
            for index, item in enumerate(value):
                yield from _lines(loaded, item, (*here, index), f"{indent}  - ")
        else:
            yield _line(head, value, _origin(loaded.layers, here, value))


def _origin(layers: Layers, path: Path, value: Any) -> Place:
    """Where a value comes from. A short form wrote what is inside it, as far as that is no default."""
    written = find(layers.data, present(layers.data, path))
    field, _ = field_at(path)
    short = isinstance(written, str) and field is not None and value != field.default
    return layers.place(path) if short else layers.origin(path)


def _line(head: str, value: Any, origin: Place) -> str:
    note = origin.source if origin.line is None else f"{origin.source}:{origin.line}"
    if isinstance(value, _Noted):
        value, note = value.value, value.note
    return f"{head} {flow(value)}".ljust(_COLUMN) + f"  # {note}"
