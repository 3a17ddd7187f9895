"""What the configuration calls a store, read: a file's path, or a URL of PostgreSQL."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from edge.values.snapshot import Secret, StorePlace

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_SCHEMES = ("postgresql", "postgres")
EXAMPLE = "for example env:STORE_URL, and there postgresql://edge:PASSWORD@db.internal/edge"


class Wrong(ValueError):
    """What is wrong with it, and the way out; nothing of the text, which may be a secret."""


def is_url(text: str) -> bool:
    """Whether it is one, of whatever scheme."""
    return _URL.match(text) is not None


def has_password(text: str) -> bool:
    """Whether a URL holds what nobody is to see. (libpq takes it from the query, too.)"""
    try:
        url = urlsplit(text)
        return url.password is not None or any("password" in name for name, _ in parse_qsl(url.query))
    except ValueError:
        return True


def place(text: str, folder: Path, journals: str | None = None) -> StorePlace:
    """Where it is; `folder` is where relative paths begin. Wrong."""
    lie = None if journals is None else str((folder / journals).absolute())
    if not is_url(text):
        path = str((folder / text).absolute())
        return StorePlace(path, lie or f"{path}.points")
    try:
        url = urlsplit(text)
        name = unquote(url.path.removeprefix("/"))
    except ValueError:
        raise Wrong("is no URL", EXAMPLE) from None
    if url.scheme not in _SCHEMES:
        raise Wrong(f"has the scheme {url.scheme}, which is unknown here",
                    "name a file by its path alone, or PostgreSQL by postgresql://HOST/DATABASE")
    if not re.fullmatch(r"[^/\0]{1,63}", name) or name in (".", ".."):
        raise Wrong("does not name a database", f"write it behind the host: postgresql://HOST/DATABASE; {EXAMPLE}")
    user, at, hosts = url.netloc.rpartition("@")
    user = user.partition(":")[0]
    return StorePlace(f"postgresql://{user}{at}{hosts}/{name}", lie or str((folder / f"{name}.points").absolute()),
                      Secret(text))
