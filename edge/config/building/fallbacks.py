"""Fallbacks: what stands in for a model or a provider, put behind the targets that `models` names.

The same model at another provider comes before another model: the fallbacks of a model's providers, then its own.
A fallback is taken with its own targets only, never with its fallbacks, and with those alone that speak a dialect
which the model is served in already. So all that the data plane sees is targets, by priority.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from edge.config.building.routing import Served
from edge.config.report import Report
from edge.dialects.capabilities import CAPABILITIES
from edge.dialects.kinds import KINDS
from edge.strict_yaml import Path
from edge.values.catalogue import finder
from edge.values.snapshot import Model, Provider, Target, Traits

HAS = "has:"          # before capabilities, in the place of a model
Groups = list[Sequence[Target]]     # each behind the one before it; priorities are those within a group


class Fallbacks:
    """Those of one configuration. `names` are all providers and `asked` all models of it, the faulty ones too."""

    def __init__(self, report: Report, models: Sequence[Model], providers: Mapping[str, Provider], served: Served,
                 names: Collection[str], asked: Iterable[str]) -> None:
        self._report = report
        self._served = served
        self._models = {model.name: model for model in models}
        self._providers = providers
        self._names = names
        self._asked = set(asked) | self._models.keys()
        self._traits = finder(())

    def expand(self, given: Mapping[str, Sequence[str]], catalogue: Iterable[Traits]) -> tuple[Model, ...]:
        """The models with their fallbacks behind their own targets. The catalogue says who has which capabilities."""
        self._traits = finder(catalogue)
        of_models: dict[str, Groups] = {}
        of_providers: dict[str, Groups] = {}
        for key, items in given.items():
            if key in self._asked and key in self._names:
                self._wrong(("fallback", key), "is a model and a provider", "give one of them another name")
            elif key in self._asked:
                of_models[key] = [self._for_model(("fallback", key, index), self._models.get(key), item)
                                  for index, item in enumerate(items)]
            elif key in self._names:
                of_providers[key] = [self._for_provider(("fallback", key, index), key, item)
                                     for index, item in enumerate(items)]
            else:
                self._wrong(("fallback", key), f"there is no model and no provider {key}",
                            self._report.suggest(key, self._asked | set(self._names)))
        made = []
        for model in self._models.values():
            groups: Groups = []
            for target in sorted(model.targets, key=lambda target: target.priority):
                groups += self._in_its_place(model, target, of_providers.get(target.provider, []))
            made.append(_behind(model, groups + of_models.get(model.name, [])))
        return tuple(made)

    def _for_model(self, at: Path, model: Model | None, item: str) -> Sequence[Target]:
        """A model by its name, or one target. Nothing after a problem was noted, here and below."""
        if model is None:                   # faulty, and told already
            return ()
        if item == model.name:
            return self._wrong(at, "is what it stands in for", "remove it")
        if item.startswith(HAS) and item not in self._asked:
            return self._peers(at, model, item.removeprefix(HAS))
        found = self._targets_of(at, item) if item in self._asked else self._target(at, item, model.name)
        return self._fitting(at, found, model.name, model.targets)

    def _for_provider(self, at: Path, provider: str, item: str) -> Sequence[Target]:
        """One target, its model None for the same name there."""
        if item == provider:
            return self._wrong(at, "is what it stands in for", "remove it")
        return self._fitting(at, self._target(at, item, None), provider, [Target(provider)])

    def _peers(self, at: Path, model: Model, wanted: str) -> Sequence[Target]:
        """All models that have the capabilities, are on, and speak one of the model's dialects; in the file's order."""
        names = [name.strip() for name in wanted.split(",")]
        for name in names:
            if name not in CAPABILITIES:
                return self._wrong(at, f"there is no capability {name}", self._report.suggest(name, CAPABILITIES))
        peers = [other.name for other in self._models.values() if other is not model and "*" not in other.name
                 and self._traits(other.name).enabled and {*names} <= {*(self._traits(other.name).capabilities or ())}]
        if not peers:
            return self._wrong(at, f"no other model has {' and '.join(names)}",
                               "say under catalogue what models are made for")
        kinds, found = self._kinds(model.targets), list[Target]()
        for name in peers:
            targets = [target for target in self._targets_of(at, name) if self._kinds([target]) & kinds]
            found += [replace(target, priority=len(found) + target.priority) for target in targets]
        return self._fitting(at, found, model.name, model.targets)

    def _targets_of(self, at: Path, name: str) -> Sequence[Target]:
        """What a model is served by, its name in the place of the one that the client asked for."""
        other = self._models.get(name)
        if other is None:                   # faulty, and told already
            return ()
        if "*" in name and any(target.model is None for target in other.targets):
            return self._wrong(at, f"{name} is a pattern, and keeps the name that was asked for",
                               "name a provider, a model or a provider/model")
        return [replace(target, model=target.model or name) for target in other.targets]

    def _target(self, at: Path, item: str, model: str | None) -> Sequence[Target]:
        """`provider/model`, or a provider alone that is asked for `model` (None: for whatever comes)."""
        provider, slash, there = item.partition("/")
        if provider not in self._names or (slash and not there):
            known = self._names if model is None else self._asked | set(self._names)
            what = "provider" if slash or model is None else "model and no provider"
            return self._wrong(at, f"there is no {what} {provider}",
                               f"{self._report.suggest(provider, known)}; a target is written provider/model")
        asked = there or model
        if asked is not None and not self._served.serves(provider, asked):
            return self._wrong(at, f"{provider} does not serve {asked}",
                               f"add it to providers.{provider}.models, or name another")
        return [Target(provider, there or None)]

    def _fitting(self, at: Path, found: Sequence[Target], name: str, own: Sequence[Target]) -> Sequence[Target]:
        """Those that speak a dialect of what `name` stands for: nothing is translated."""
        kinds = self._kinds(own)
        fitting = [target for target in found if self._kinds([target]) & kinds]
        if found and not fitting:
            return self._wrong(at, f"speaks {_words(self._kinds(found))}'s dialect, and {name} {_words(kinds)}'s",
                               "name what speaks the same dialect: requests are not translated")
        return fitting

    def _in_its_place(self, model: Model, target: Target, groups: Groups) -> Groups:
        """What stands in for a target's provider, asked for what the target is asked for, where it has that.

        Where the model has a target at that provider already, `models` says by which name it is asked there.
        """
        own = {target.provider for target in model.targets}
        return [[replace(other, model=other.model or target.model) for other in group
                 if (other.model or other.provider not in own)
                 and self._served.serves(other.provider, other.model or target.model or model.name)]
                for group in groups]

    def _kinds(self, targets: Iterable[Target]) -> set[str]:
        """The dialects; a provider that is not known as it is faulty could speak any."""
        known = [self._providers.get(target.provider) for target in targets]
        return {kind for provider in known for kind in ((provider.kind,) if provider else KINDS)}

    def _wrong(self, at: Path, message: str, way_out: str) -> Sequence[Target]:
        self._report.problem(at, message, way_out)
        return ()


def _behind(model: Model, groups: Iterable[Sequence[Target]]) -> Model:
    """The model with each group behind all before it; a target that is there already is left out."""
    targets = list(model.targets)
    taken = {(target.provider, target.model or model.name) for target in targets}
    highest = max((target.priority for target in targets), default=-1)
    for group in groups:
        last = highest
        for target in group:
            place = (target.provider, target.model or model.name)
            if place not in taken:
                taken.add(place)
                targets.append(replace(target, priority=last + 1 + target.priority))
                highest = max(highest, targets[-1].priority)
    return replace(model, targets=tuple(targets))


def _words(kinds: Iterable[str]) -> str:
    return " and ".join(sorted(kinds))
