"""What is wrong with a configuration as an answer in contract."""

from __future__ import annotations

from collections.abc import Sequence

from edge._fast import Condition, Slot
from edge.config import FAULT, FULL, MEMORY, MISSING, SYNTAX, Problem
from edge.control.refusal import Refusal

# What is no fault of the configuration's.
_OTHERS = {MEMORY: Condition.out_of_memory, FULL: Condition.disk_full, FAULT: Condition.internal_error}


def refused(problems: Sequence[Problem]) -> Refusal:
    """The first as the condition that stands for its code, and all beside."""
    refusal = problem(problems[0])
    refusal.beside = {"problems": [each.facts() for each in problems]}
    return refusal


def problem(first: Problem) -> Refusal:
    """A problem as the condition that stands for its code."""
    if first.code in _OTHERS:
        return Refusal(_OTHERS[first.code])
    if first.code == MISSING:
        return Refusal(Condition.config_missing_field, {Slot.S_FIELD: first.key})
    if first.code == SYNTAX:        # its message is the whole sentence
        reason = first.message.removeprefix("Failed to load config: ")
        return Refusal(Condition.config_invalid, {Slot.S_LINE: first.place.line, Slot.S_REASON: reason})
    said = f"{first.key}: {first.message}" if first.key else first.message
    return Refusal(Condition.config_value, {Slot.S_REASON: said})
