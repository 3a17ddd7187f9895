"""The surfaces: what a client's dialect is, besides its routes. This is the one place that knows; stages ask it."""

from __future__ import annotations

from dataclasses import dataclass

from edge.dialects.kinds import KEY_HEADERS, Kind


@dataclass(frozen=True, slots=True)
class Surface:
    """A client's dialect. Its name is also that of its own contract, and of the kind of providers that speak it.

    `version` is a header that its API wants, and the value for clients that send none; a request that has it is of this
    surface, and so is one under `prefix`. Where another surface has the model that was asked for, `generates` is named.
    `limits` are the headers in which its SDK looks for a limit, what is left of it, and its reset, by what it counts;
    the reset is a time (RFC 3339) where it is `dated`, else the time until then (as Go writes it).
    """

    name: Kind
    generates: bytes
    prefix: bytes | None = None
    version: tuple[str, str] | None = None
    limits: tuple[tuple[str, tuple[str, ...]], ...] = ()
    dated: bool = False

    @property
    def has_key_header(self) -> bool:
        """Whether its clients may send their key in x-api-key, not only as a bearer's."""
        return KEY_HEADERS[self.name] == "x-api-key"


def _limits(form: str, *kinds: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((kind, tuple(form.format(kind=kind.replace("_", "-"), what=what)
                              for what in ("limit", "remaining", "reset"))) for kind in kinds)


# The first is that of requests that show none.
SURFACES: tuple[Surface, ...] = (
    Surface("openai", b"/v1/chat/completions", limits=_limits("x-ratelimit-{what}-{kind}", "requests", "tokens")),
    Surface("anthropic", b"/v1/messages", prefix=b"/v1/messages", version=("anthropic-version", "2023-06-01"),
            dated=True, limits=_limits("anthropic-ratelimit-{kind}-{what}", "requests", "tokens", "input_tokens",
                                       "output_tokens")),
)
VERSIONS = {surface.name: surface.version for surface in SURFACES if surface.version is not None}
