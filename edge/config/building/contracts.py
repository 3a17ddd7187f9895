"""The contracts that the file chooses: each is there, is right, and answers on its surface."""

from __future__ import annotations

from collections.abc import Sequence

from edge import contract
from edge.config.problems import INVALID, Place, Problem
from edge.config.report import Report
from edge.config.sections.settings import Settings
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


def flags(settings: Settings) -> tuple[str, ...]:
    """The variants that the file chooses, of edge.contract.files.FLAGS."""
    chosen = {"mask_rate_limit": settings.provider_rate_limit == "mask",
              "revoked_401": settings.revoked_key == 401, "revoked_403": settings.revoked_key == 403}
    return tuple(flag for flag, is_set in chosen.items() if is_set)


def check_members(report: Report, chosen: tuple[tuple[str, str], ...], members: bool) -> None:
    """Anthropic's own contract is nothing without Anthropic's members."""
    if not members and dict(chosen)["anthropic"] == "anthropic":
        report.problem(("anthropic_members",), "is false, and contract.anthropic is Anthropic's own",
                       "choose another contract, or leave it out")


def _tell(report: Report, at: Path, problem: contract.Problem) -> None:
    if problem.file:
        place = Place(problem.file, problem.line, problem.column)
        report.problems.append(Problem(INVALID, place, problem.key, problem.message, problem.way_out))
    else:
        report.problem(at, problem.message, problem.way_out)
