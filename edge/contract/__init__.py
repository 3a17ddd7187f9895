"""The error contracts: what a client is told when something goes wrong, as data.

conditions.yaml says what can go wrong, contracts/ what each contract says of it; README.md is the manual for
a contract of one's own. `compile_surface` makes templates of them for the data plane. provider_errors.yaml says what
providers mean by their own errors: `classify` and `wait_ms` read an answer for it.
"""

from __future__ import annotations

from edge.contract.conditions import Conditions, Meaning, conditions
from edge.contract.endings import Begun, ending
from edge.contract.files import Contract, Row, load, names, values
from edge.contract.problems import ContractError, Problem
from edge.contract.provider_errors import Details, Rules, Verdict, classify, details, rules
from edge.contract.templates import compile_surface, statuses
from edge.contract.waits import wait_ms

__all__ = ["Begun", "Contract", "ContractError", "Details", "Meaning", "Problem", "Row", "Verdict", "blames",
           "classify", "compile_surface", "details", "ending", "hold", "load", "meanings", "names", "statuses",
           "tables", "values", "wait_ms"]


def meanings() -> dict[str, Meaning]:
    """What each condition means, by name, in the order of the enum."""
    return conditions().meanings


def tables() -> tuple[Conditions, Rules]:
    """What the two files say that every process needs."""
    return conditions(), rules()


def hold(said: tuple[Conditions, Rules]) -> None:
    """Let this process, and those that are forked from it, have what another one has read."""
    conditions.hold(said[0])
    rules.hold(said[1])


def blames() -> dict[str, str]:
    """Whose fault each condition is, by name."""
    return {name: meaning.blame for name, meaning in meanings().items()}
