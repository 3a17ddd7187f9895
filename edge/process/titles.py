"""What ps, top and pidof call a process: "edge: worker 0".

Written through /proc, which costs neither a library nor the memory of ctypes: the name of the thread (15 bytes,
PR_SET_NAME of prctl(2)), and over the arguments, where the kernel says they stand (proc(5), arg_start and arg_end).
"""

from __future__ import annotations

import contextlib
from pathlib import Path

_ARG_START = 48 - 3         # field 48 of /proc/PID/stat, of those behind the name's closing parenthesis


def entitle(title: str) -> None:
    """Gives this process a title. Where /proc does not allow it the process keeps the one that it has."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(title[:15])
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[_ARG_START]), int(fields[_ARG_START + 1])
        if start:
            with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
                memory.seek(start)
                memory.write(title.encode()[:end - start - 1].ljust(end - start, b"\0"))


def titled(pid: int) -> str:
    """The name of a process, "edge: superviso" for a supervisor; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    except OSError:
        return ""
