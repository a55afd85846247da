"""Reading what sites put into their JSON: gaps, other types, numbers as text, one value or a list.

Nothing here raises: what cannot be read is None or empty.
"""

from __future__ import annotations

import math
import re
from typing import Any
from urllib.parse import unquote, urlsplit

_CLOCK = re.compile(r"(?:(?P<hours>\d{1,3}):)?(?P<minutes>\d{1,4}):(?P<seconds>\d{1,2}(?:\.\d+)?)")
_MOST = 2**53  # beyond it JSON's numbers are not exact, and nothing we read is that large


def text(value: Any) -> str | None:
    """Return text without blanks around it and without what a database refuses; None when empty."""
    if not isinstance(value, str):
        return None
    return value.replace("\0", "").encode("utf-8", "replace").decode().strip() or None


def texts(value: Any) -> list[str]:
    """Return the texts of a list, or of a single text."""
    found = (text(one) for one in (value if isinstance(value, list) else [value]))
    return [one for one in found if one]


def ident(value: Any) -> str | None:
    """Return an id that is text or a whole number, as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text(value)


def decimal(value: Any) -> float | None:
    """Return a number above zero, also one written as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and 0 < found < _MOST else None


def number(value: Any) -> int | None:
    """Return a whole number above zero, also one written as text."""
    return int(decimal(value) or 0) or None


def counted(value: Any) -> int | None:
    """Return how often something was counted, which may be never."""
    return 0 if value in (0, "0") and value is not False else number(value)


def seconds(value: Any) -> float | None:
    """Return a length given in seconds or as `mm:ss`, `hh:mm:ss`."""
    found = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return decimal(value)
    whole = int(found["hours"] or 0) * 3600 + int(found["minutes"]) * 60 + float(found["seconds"])
    return whole or None


def true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() in ("true", "1", "yes"))


def fields(value: Any) -> dict[str, Any]:
    """Return an object, or an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def rows(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list and nothing else."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def web(value: Any) -> str | None:
    """Return a whole http address; one that begins with `//` is https."""
    address = text(value)
    if address is None:
        return None
    address = f"https:{address}" if address.startswith("//") else address
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return address if parts.scheme in ("http", "https") and parts.hostname else None


def words_of(page: str | None) -> str | None:
    """Return what the end of a page's path says: `/video/a-dog-on-a-couch-2834230/` is "A dog on a couch"."""
    last = unquote(urlsplit(page or "").path).rstrip("/").rpartition("/")[2]
    said = text(" ".join(re.sub(r"(^|[-_])\d+$", "", last).replace("-", " ").replace("_", " ").split()))
    if said is None or said.lower() == "id" or not re.search(r"[^\W\d_]", said):
        return None
    return said[0].upper() + said[1:]
