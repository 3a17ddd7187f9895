"""Signals as bytes of a socket, so that a loop waits for them as for all else."""

from __future__ import annotations

import signal
import socket

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2,
           signal.SIGCHLD)


class Signals:
    """Caught for as long as the context lasts; `wake` can be read when one has come."""

    def __enter__(self) -> Signals:
        self.wake, self.woken = socket.socketpair()
        for end in (self.wake, self.woken):
            end.setblocking(False)
        # First the descriptor, then the handlers; and back before it is closed, when a signal may still come.
        signal.set_wakeup_fd(self.woken.fileno(), warn_on_full_buffer=False)
        for number in NUMBERS:
            signal.signal(number, lambda *_: None)
        self.unblock()                      # the image before has left them blocked
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)

    def come(self) -> bytes:
        """Those that have come; there is at least one."""
        return self.wake.recv(4096)

    def waiting(self) -> bool:
        """Whether one has come that nobody has heard of yet."""
        try:
            return bool(self.wake.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False

    @staticmethod
    def block() -> None:
        """They wait in the kernel, also for the next image of the process."""
        signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)

    @staticmethod
    def unblock() -> None:
        """They come."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)
