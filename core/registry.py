"""Find adapters by slug: adding a vendor or a source means adding one file to its package.

A module offers itself by a top-level `ADAPTER` class with a `slug`; a module without one is passed over.
Packages are named by text and imported at first use, so that core stays a leaf and an edge that needs
only names can ask here.
"""

from __future__ import annotations

import importlib
import pkgutil
from threading import Lock
from typing import Any

from core.errors import Invalid


class Registry:
    """Adapter classes of one package, by slug; safe to share between threads."""

    def __init__(self, package_name: str, attribute: str = "ADAPTER", *, field: str = "provider") -> None:
        self._package_name = package_name
        self._attribute = attribute
        self._field = field
        self._lock = Lock()
        self._adapters: dict[str, type[Any]] | None = None

    def all(self, kind: str | None = None) -> dict[str, type[Any]]:
        """Return adapter classes by slug, sorted; `kind` keeps those whose `kind` (or `kinds`) has it."""
        adapters = self._load()
        return {slug: cls for slug, cls in adapters.items() if kind is None or kind in _kinds(cls)}

    def slugs(self, kind: str | None = None) -> tuple[str, ...]:
        return tuple(self.all(kind))

    def has(self, slug: str, kind: str | None = None) -> bool:
        adapter = self._load().get(slug)
        return adapter is not None and (kind is None or kind in _kinds(adapter))

    def get(self, slug: str, kind: str | None = None) -> type[Any]:
        """Return the class for `slug`; raise Invalid naming the allowed slugs."""
        adapters = self.all(kind)
        if slug not in adapters:
            noun = f"{kind} {self._field}" if kind else self._field
            raise Invalid(
                f"There is no {noun} called {slug!r}. Use one of: {', '.join(adapters) or 'none installed'}.",
                field=self._field,
            )
        return adapters[slug]

    def _load(self) -> dict[str, type[Any]]:
        with self._lock:
            if self._adapters is None:
                self._adapters = dict(sorted(self._collect().items()))
            return self._adapters

    def _collect(self) -> dict[str, type[Any]]:
        package = importlib.import_module(self._package_name)
        found: dict[str, type[Any]] = {}
        for module_info in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{self._package_name}.{module_info.name}")
            adapter = getattr(module, self._attribute, None)
            if adapter is None:
                continue
            if adapter.slug in found:
                raise TypeError(
                    f"{adapter.__module__} and {found[adapter.slug].__module__} share {adapter.slug!r}"
                )
            found[adapter.slug] = adapter
        return found


def _kinds(adapter: type[Any]) -> tuple[str, ...]:
    return tuple(getattr(adapter, "kinds", None) or (adapter.kind,))


PROVIDERS = Registry("providers")
SOURCES = Registry("scrapers.sources", field="source")
