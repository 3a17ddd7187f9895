"""The process that carries no traffic: sockets and shared memory, the other processes' lives, reloads, upgrades."""

from __future__ import annotations

from edge.supervisor.handover import Handover, take
from edge.supervisor.process import Supervisor
from edge.supervisor.upgrade import Command, rehearse

__all__ = ["Command", "Handover", "Supervisor", "rehearse", "take"]
