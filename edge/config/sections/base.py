"""What all sections are made of."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

MAX_SECONDS = 86400.0


class Strict(BaseModel):
    """What all sections share: no coercion, no unknown keys, no changes."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def about(description: str, example: object = None) -> Any:
    """What a key is for, and how it is written."""
    return Field(description=description, examples=None if example is None else [example])


def wrong(message: str, way_out: str) -> PydanticCustomError:
    """An error in our own words. Braces are doubled: pydantic formats the message with its context."""
    return PydanticCustomError("edge", message.replace("{", "{{").replace("}", "}}"), {"way_out": way_out})


def _network(text: str) -> str:
    if "%" in text:             # which ipaddress takes, and means nothing by
        raise wrong("names a zone, which connections do not tell", f"write {text.partition('%')[0]} alone")
    try:
        ipaddress.ip_network(text)
    except ValueError:
        try:
            meant = str(ipaddress.ip_network(text, strict=False))
        except ValueError:
            raise wrong("is no address and no network", 'for example "10.0.0.0/8" or "2001:db8::7"') from None
        raise wrong("is an address inside of a network", f"write {meant}, or the address alone") from None
    return text


Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]
Period = Annotated[float, Field(ge=0.1, le=MAX_SECONDS, allow_inf_nan=False)]
Patience = Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Burst = Annotated[int, Field(ge=1, le=10**9)]
Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1, le=(1 << 31) - 1)]
Few = Annotated[int, Field(ge=1, le=1000)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1, max_length=4096)]
Network = Annotated[str, AfterValidator(_network), Field(max_length=64)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
