"""The file that `edge config init` writes: it validates as it is, with what the environment has."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge.config import keys
from edge.dialects.kinds import BASE_URLS

SIMULATOR_PORT = 9000
NAME = "team-a"
_TEMPLATE = Path(__file__).with_name("first.yaml")


def written(file: str, environ: Mapping[str, str], *, force: bool) -> tuple[str, int]:
    """Writes it. The new client's key, and the port where the file has the simulator in the place of a provider, or 0.

    FileExistsError unless `force`; another OSError where it cannot be written.
    """
    known = [kind for kind in BASE_URLS if environ.get(f"{kind.upper()}_API_KEY")]
    key = keys.generate()
    text = _TEMPLATE.read_text(encoding="utf-8").format(
        file=shlex.quote(file), providers=_providers(known), name=NAME, hash=keys.hashed(key, None))
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if force else os.O_EXCL)
    with os.fdopen(os.open(file, flags, 0o644), "w", encoding="utf-8") as stream:
        stream.write(text)
    return key, 0 if known else SIMULATOR_PORT


def _providers(known: Sequence[str]) -> str:
    """Those whose keys are in the environment; with none of them the simulator of both."""
    lines = []
    for kind in BASE_URLS:
        here = "" if kind in known else "# "
        lines.append(f"{here}  {kind}: {{key: env:{kind.upper()}_API_KEY}}")
    lines.append("#   local: {kind: openai, base_url: http://127.0.0.1:8000/v1}     # vLLM, Ollama, Azure ...")
    if not known:
        lines += [f"  # Until there is one, `edge simulate --port {SIMULATOR_PORT}` plays both:",
                  f"  simulator: {{kind: openai, base_url: http://127.0.0.1:{SIMULATOR_PORT}/v1}}",
                  f"  simulator-anthropic: {{kind: anthropic, base_url: http://127.0.0.1:{SIMULATOR_PORT}}}"]
    return "".join(f"{line}\n" for line in lines)
