"""A new version of the program in the place of the old one: same process, same sockets, same memory.

The supervisor first tries the new program and the configuration in a process of its own (`rehearse`); where that is
good it executes itself (`execute`). What it holds goes on by a Handover.
"""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from edge import control, worker
from edge._fast import Slab
from edge.process.memfd import seal, whole
from edge.supervisor.handover import VARIABLE, Handover, note
from edge.values.registry import Registry, prepare
from edge.values.snapshot import Snapshot

TRIAL_SECONDS = 60.0
WORDS = 4000                        # of what a failed trial said


@dataclass(frozen=True, slots=True)
class Command:
    """How this program was started, and is started again."""

    arguments: list[str]
    environ: dict[str, str]


def rehearse(handed: Handover, snapshot: Snapshot) -> int:
    """Does in a memory of its own what the next image will do, and raises what it would raise. The exit code."""
    slab, registry = Slab(snapshot.workers), Registry(handed.indices)
    prepare(slab, registry, snapshot)
    worker.rehearse(slab, registry, snapshot)
    control.rehearse(slab, registry, snapshot)
    data = pickle.dumps(snapshot)
    return 0 if os.pwrite(handed.snapshot, data, 0) == len(data) else 1


class Trial:
    """The new program with the configuration as it is now, in a process that serves nobody."""

    def __init__(self, command: Command, handover: Handover) -> None:
        self.snapshot = handover.snapshot
        self.said = os.memfd_create("edge-trial")
        handover = replace(handover, trial=True)
        descriptor = note(handover)
        self.process = subprocess.Popen(
            command.arguments, env={**command.environ, VARIABLE: f"try {descriptor}"}, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=self.said, pass_fds=[descriptor, *handover.descriptors()])
        os.close(descriptor)
        self.due = time.monotonic() + TRIAL_SECONDS

    def verdict(self) -> str | None:
        """None: it is under way. Empty: it is good. Else why not."""
        code = self.process.poll()
        if code is None and time.monotonic() < self.due:
            return None
        if code is None:
            self.end()
            return f"it did not end in {TRIAL_SECONDS:g} s"
        if code == 0:
            seal(self.snapshot)                 # it is what was tried, from here on
            return ""
        return whole(self.said)[-WORDS:].decode(errors="replace").strip() or f"it ended with {code}"

    def end(self) -> None:
        """Whatever it has come to."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        """Forgets all of it."""
        self.end()
        os.close(self.said)
        os.close(self.snapshot)


class Upgrades:
    """One at a time, and only while nothing else is under way; until then a wish waits."""

    def __init__(self, command: Command | None, log: logging.Logger) -> None:
        self.command = command
        self.log = log
        self.wanted = False
        self.trial: Trial | None = None

    def ask(self, under_way: bool) -> None:
        """Somebody wants one."""
        if self.command is None:
            self.log.error("no upgrade: a gateway without a configuration file cannot be started again as it is")
            return
        self.wanted = True
        if under_way or self.trial is not None:
            self.log.warning("an upgrade is under way: the next one waits for its end")

    def begin(self, handover: Callable[[int], Handover]) -> None:
        """The trial, if one is wanted. `handover` gets the descriptor of a memfd for the snapshot."""
        if self.wanted and self.command is not None and self.trial is None:
            self.wanted = False
            self.log.info("upgrade: the new version is tried")
            memory = os.memfd_create("edge-snapshot", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            self.trial = Trial(self.command, handover(memory))

    def ready(self) -> bool:
        """Whether a trial has ended well. One that has not is told and forgotten."""
        verdict = self.trial.verdict() if self.trial is not None else None
        if verdict:
            self.log.error("no upgrade: %s", verdict)
            self.forget()
        return verdict == ""

    def again(self) -> None:
        """What the trial has read is old: it begins once more."""
        self.wanted |= self.trial is not None
        self.forget()

    def forget(self) -> None:
        """The trial comes to nothing."""
        if self.trial is not None:
            self.trial.close()
            self.trial = None

    def become(self, handover: Callable[[int], Handover]) -> None:
        """The next image of this process. Returns only where that fails, which changes nothing."""
        assert self.command is not None and self.trial is not None
        try:
            execute(self.command, handover(self.trial.snapshot))
        except OSError as error:
            self.log.error("no upgrade: %s", error)
        self.forget()


def execute(command: Command, handover: Handover) -> None:
    """Executes the program in this process. OSError: we are still who we were."""
    kept = [note(handover), *handover.descriptors()]
    for descriptor in kept:
        os.set_inheritable(descriptor, True)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(command.arguments[0], command.arguments, {**command.environ, VARIABLE: f"take {kept[0]}"})
    finally:
        for descriptor in kept:
            os.set_inheritable(descriptor, False)
        os.close(kept[0])
