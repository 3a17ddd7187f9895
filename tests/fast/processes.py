"""Forked processes that share a slab, as workers do."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

FORK = multiprocessing.get_context("fork")


def in_processes(count: int, work: Callable[..., Any], *args: Any) -> list[Any]:
    """Run `work(number, *args)` in forked processes at the same time; what each returned."""
    barrier = FORK.Barrier(count)

    def begin(number: int, answer: Connection) -> None:
        barrier.wait(30)
        answer.send(work(number, *args))

    answers = []
    for number in range(count):
        ours, theirs = FORK.Pipe(duplex=False)
        FORK.Process(target=begin, args=(number, theirs), daemon=True).start()
        theirs.close()          # so that a child that fails is an EOFError here
        answers.append(ours)
    return [answer.recv() for answer in answers]
