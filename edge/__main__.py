"""The `edge` command; `python -m edge` is the same.

Ctrl-C ends it without a traceback from here on, whatever is being imported or waited for: by the signal itself, which
shells tell as 130 and which ends their loops as well. What wants an orderly end, as the gateway and the simulator do
once they serve, has a handler of its own. `signal` is imported under its inner name, as it takes its time for enums.
"""

import _signal  # type: ignore[import-not-found]
import os


def interrupted(*_: object) -> None:
    """Ends the process by SIGINT; where that ends nobody, as of process 1 of a container, by the code for it."""
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    os.kill(os.getpid(), _signal.SIGINT)
    os._exit(128 + _signal.SIGINT)


if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:      # else its caller wants it ignored
    _signal.signal(_signal.SIGINT, interrupted)

from edge.cli import main  # noqa: E402

if __name__ == "__main__":
    main(prog_name="edge")
