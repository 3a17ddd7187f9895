"""The contracts that the file chooses: each is there, is right, and answers on its surface."""

from __future__ import annotations

from collections.abc import Sequence

from edge import contract
from edge.config.problems import INVALID, Place, Problem
from edge.config.report import Report
from edge.config.sections.surfaces import Contracts
from edge.config.tree import find
from edge.dialects.kinds import KINDS
from edge.strict_yaml import Path

Wording = tuple[tuple[str, contract.Contract], ...]


def contracts(report: Report, chosen: Contracts, files: Sequence[str]) -> tuple[tuple[tuple[str, str], ...], Wording]:
    """Contract by surface, its name and all of it. What is wrong inside one of `files` is told with its place there."""
    pairs = tuple((kind, getattr(chosen, kind)) for kind in KINDS)
    short = isinstance(find(report.layers.data, ("contract",)), str)
    told: set[str] = set()
    for surface, name in pairs:
        at: Path = ("contract",) if short else ("contract", surface)
        try:
            contract.compile_surface(name, surface, files=files)
        except contract.ContractError as error:
            for problem in error.problems:
                if str(problem) not in told:
                    _tell(report, at, problem)
                told.add(str(problem))
    return pairs, () if told else contract.values(pairs, files)


def _tell(report: Report, at: Path, problem: contract.Problem) -> None:
    if problem.file:
        place = Place(problem.file, problem.line, problem.column)
        report.problems.append(Problem(INVALID, place, problem.key, problem.message, problem.way_out))
    else:
        report.problem(at, problem.message, problem.way_out)
