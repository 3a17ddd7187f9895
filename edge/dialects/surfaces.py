"""The surfaces: what a client's dialect is, besides its routes. This is the one place that knows; stages ask it."""

from __future__ import annotations

from dataclasses import dataclass

from edge.dialects.kinds import KEY_HEADERS, Kind


@dataclass(frozen=True, slots=True)
class Surface:
    """A client's dialect. Its name is also that of its own contract, and of the kind of providers that speak it.

    `version` is a header that its API wants, and the value for clients that send none; a request that has it is of this
    surface, and so is one under `prefix`. Where another surface has the model that was asked for, `generates` is named.
    Its SDK looks for `limits` of these kinds in headers of this `limit_form`: a limit, what is left of it, its reset,
    which is a time (RFC 3339) where it is `dated`, else the time until then (as Go writes it).
    """

    name: Kind
    generates: bytes
    limit_form: str
    limits: tuple[str, ...]
    dated: bool = False
    prefix: bytes | None = None
    version: tuple[str, str] | None = None

    def limit_headers(self, kind: str) -> tuple[str, ...]:
        """Those of one of its `limits`: of it, of what is left, of its reset."""
        return tuple(self.limit_form.format(kind=kind.replace("_", "-"), what=what)
                     for what in ("limit", "remaining", "reset"))

    @property
    def limit_prefix(self) -> str:
        """With which the names of all of them begin."""
        return self.limit_form.partition("{")[0]

    @property
    def has_key_header(self) -> bool:
        """Whether its clients may send their key in x-api-key, not only as a bearer's."""
        return KEY_HEADERS[self.name] == "x-api-key"


# The first is that of requests that show none.
SURFACES: tuple[Surface, ...] = (
    Surface("openai", b"/v1/chat/completions", "x-ratelimit-{what}-{kind}", ("requests", "tokens")),
    Surface("anthropic", b"/v1/messages", "anthropic-ratelimit-{kind}-{what}",
            ("requests", "tokens", "input_tokens", "output_tokens"), dated=True,
            prefix=b"/v1/messages", version=("anthropic-version", "2023-06-01")),
)
VERSIONS = {surface.name: surface.version for surface in SURFACES if surface.version is not None}
