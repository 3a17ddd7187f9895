"""The catalogue: what the file says of models, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge.config.building import patterns
from edge.config.building.patterns import Patterns
from edge.config.report import Report
from edge.config.sections.maximums import MAX_MODEL
from edge.config.sections.models import Listed
from edge.strict_yaml import Path
from edge.values.snapshot import Model, Traits


def catalogue(report: Report, given: Mapping[str, Listed], models: Sequence[Model]) -> tuple[Traits, ...]:
    """Names come before patterns, patterns stand in the file's order. A name that no model answers to is a problem."""
    served = Patterns(model.name for model in models)
    made: list[Traits] = []
    before = Patterns()
    for name, listed in sorted(given.items(), key=lambda entry: "*" in entry[0]):
        at: Path = ("catalogue", name)
        patterns.check(report, at, name)
        if len(name) > MAX_MODEL:
            report.problem(at, f"has a name of more than {MAX_MODEL} characters", "shorten it")
        elif "*" not in name and not served.cover(name):
            report.problem(at, f"there is no model {name}", report.suggest(name, [model.name for model in models]))
        elif (above := next(before.covering(name), None)) is not None and "*" in name:
            report.problem(at, f"is never reached: {above} above it takes its names", "move it up, or remove it")
        before.add(name)
        made.append(Traits(name, None if listed.capabilities is None else tuple(dict.fromkeys(listed.capabilities)),
                           listed.enabled))
    return tuple(made)
