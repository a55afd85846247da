"""Real recorded answers of sources, read where they lie beside the checkout: never copied, skipped without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_STANDS_FOR = {"<API_URI>": "https://api.unsplash.com/", "<OAUTH_URI>": "https://unsplash.com/"}


class Recorded:
    """The recordings of one source."""

    def __init__(self, shared: Path, slug: str) -> None:
        self.folder = shared / "sources" / "recorded" / slug

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*.json"))

    def answer(self, name: str) -> tuple[int, dict[str, str], Any]:
        """(status, headers, body), out of whatever the recorder has wrapped around them."""
        text = (self.folder / name).read_text()
        for sign, address in _STANDS_FOR.items():
            text = text.replace(sign, address)
        data = json.loads(text)
        if isinstance(data, list) and data and isinstance(data[0], dict) and "response" in data[0]:
            said = data[0]["response"]
            return said["status"], said["headers"], said["body"]
        if isinstance(data, dict) and "status_code" in data:
            return data["status_code"], data["headers"], data["body"]
        return 200, {}, data


def found_in(data: Any, *names: str) -> list[dict[str, Any]]:
    """Every object anywhere in `data` that has all these keys."""
    found = [data] if isinstance(data, dict) and set(names) <= data.keys() else []
    inside = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return found + [one for value in inside for one in found_in(value, *names)]
