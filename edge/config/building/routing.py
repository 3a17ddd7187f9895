"""Models and relays: what the file says, or what follows from the providers when it says nothing.

Names without `*` come before patterns, patterns stand in the file's order, and the first entry that fits a
request's model takes it. Of its targets those count whose provider speaks the route's dialect.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from edge.config.building import patterns
from edge.config.building.patterns import Patterns
from edge.config.report import Report
from edge.config.sections.models import Target as WrittenTarget
from edge.dialects.kinds import KINDS
from edge.dialects.paths import is_plain
from edge.dialects.routes import OWN, ROUTES
from edge.strict_yaml import Path
from edge.values.snapshot import Model, Provider, Relay, Target

# What the head's parser takes of a path, but * save at the end. (RFC 3986 3.3, and brackets.)
_PATH = re.compile(r"/(?:[\w.~!$&'()+,;=:@/\[\]-]|%[0-9A-Fa-f]{2})*\*?", re.ASCII)


class Served:
    """Which provider answers to which names: its own patterns, read once for thousands of questions."""

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._patterns = {each.name: Patterns(each.models) for each in providers if each.models}

    def serves(self, provider: str, name: str) -> bool:
        """Whether a provider answers to a name, or to all of a pattern; one that is not known is given credit."""
        patterns = self._patterns.get(provider)
        return patterns is None or patterns.cover(name)


def models(report: Report, given: Mapping[str, Sequence[WrittenTarget]], served: Served,
           names: Collection[str]) -> tuple[Model, ...]:
    """The file's models, checked. `names` are all providers of the file, the faulty ones too."""
    made: list[Model] = []
    for name, targets in given.items():
        at: Path = ("models", name)
        patterns.check(report, at, name)
        found: list[Target] = []
        seen: set[tuple[str, str | None]] = set()
        for index, item in enumerate(targets):
            priority = index if item.priority is None else item.priority
            if item.provider not in names:
                report.problem((*at, index), f"there is no provider {item.provider}",
                               report.suggest(item.provider, names))
            elif (item.provider, item.model) in seen:
                report.problem((*at, index), "is the same target again", "remove it")
            elif not served.serves(item.provider, item.model or name):
                report.problem((*at, index), f"{item.provider} does not serve {item.model or name}",
                               f"add it to providers.{item.provider}.models, or name another provider")
            seen.add((item.provider, item.model))
            found.append(Target(item.provider, item.model, priority, item.weight))
        made.append(Model(name, tuple(found)))
    made.sort(key=lambda entry: "*" in entry.name)         # stable: the file's order stays
    _shadows(report, made)
    return tuple(made)


def default_models(providers: Sequence[Provider]) -> tuple[Model, ...]:
    """Without `models`: by the providers' own patterns, the narrowest first, and each dialect by itself.

    A dialect for which no pattern fits goes to its first provider without patterns, so every entry answers
    for both. Of two patterns that overlap, neither within the other, the one with more letters takes all.
    """
    owners: dict[str, list[Provider]] = {}
    for provider in providers:
        for pattern in provider.models:
            owners.setdefault(pattern, []).append(provider)
    narrowest = sorted(owners, key=lambda name: ("*" in name, -len(name.replace("*", "")), name.count("*")))
    wide = Patterns(narrowest)
    rest = {kind: [p for p in providers if p.kind == kind and not p.models][:1] for kind in KINDS}
    made = []
    for name in dict.fromkeys((*narrowest, "*")):
        targets: list[Target] = []
        fitting = [owners[each] for each in wide.covering(name)]
        for kind in KINDS:
            of_kind = ([p for p in group if p.kind == kind] for group in fitting)
            chosen = next(filter(None, of_kind), rest[kind])
            targets += [Target(p.name, priority=place) for place, p in enumerate(chosen, len(targets))]
        if targets:
            made.append(Model(name, tuple(targets)))
    return tuple(made)


def relays(report: Report, given: Mapping[str, str], names: Collection[str]) -> tuple[Relay, ...]:
    """The file's routes, checked. The paths of `edge.dialects.routes.RELAYED` come after them."""
    made: list[Relay] = []
    before = Patterns()
    for path, provider in given.items():
        at: Path = ("routes", path)
        if not _PATH.fullmatch(path):
            report.problem(at, "is no path",
                           "write it from the /, with * at the end for all below, e.g. /v1/rerank*")
        elif not is_plain(path.replace("*", "x").encode()):
            report.problem(at, "is a path that some servers take for another one",
                           "write it without // and ;, without a dot at a segment's end, and without escapes of these")
        elif any(route.path == path for route in (*ROUTES, *OWN)):
            report.problem(at, "is a route of the gateway's own", "say under models where its requests go")
        elif above := next(before.covering(path), None):
            report.problem(at, f"is never reached: {above} above it takes it", "move it up, or remove it")
        if provider not in names:
            report.problem(at, f"there is no provider {provider}", report.suggest(provider, names))
        before.add(path)
        made.append(Relay(path, provider))
    return tuple(made)


def idle(providers: Sequence[Provider], models: Sequence[Model], relays: Sequence[Relay]) -> list[str]:
    """The providers that nothing leads to. The first of a kind is used: by the paths of that kind."""
    used = {target.provider for entry in models for target in entry.targets}
    used |= {relay.provider for relay in relays}
    used |= set({provider.kind: provider.name for provider in reversed(providers)}.values())
    return [provider.name for provider in providers if provider.name not in used]


def _shadows(report: Report, made: Sequence[Model]) -> None:
    """A pattern below a wider one would never be used."""
    before = Patterns()
    for entry in made:
        above = next(before.covering(entry.name), None)
        if above is not None:
            report.problem(("models", entry.name), f"is never reached: {above} above it takes its names",
                           "move it up, or remove it")
        before.add(entry.name)
