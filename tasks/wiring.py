"""Adapters put together with what they need, and what this installation can do."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast
from urllib.parse import urlsplit

import structlog

from core.errors import Invalid, Misconfigured, PipelineError
from core.http import HttpClient
from core.registry import PROVIDERS, SOURCES
from core.settings import Settings, get_settings
from media.ffmpeg import ffmpeg_path
from providers.base import (
    Context,
    Moderator,
    Notifier,
    RemoteProvider,
    ScriptWriter,
    SpeechProvider,
    TextRemover,
    Vendor,
    VideoProvider,
)
from scrapers.base import Source
from tasks.door import Door
from tasks.limits import Account

if TYPE_CHECKING:  # quotes are asked of the API's process, which loads no image library
    from media.craft import Craft

log = structlog.get_logger()

WRITERS_BY_CHOICE = ("ollama", "openai_compatible", "outline")
"""Who writes when the brief says `auto`: the first that is enabled."""


@lru_cache(maxsize=1)
def http_client() -> HttpClient:
    settings = get_settings()
    allowed = [host.strip() for host in settings.allow_private_hosts.split(",") if host.strip()]
    own = [settings.ollama_url, settings.openai_compatible_url]  # an operator who names one means it
    own += [settings.vendor(slug).url for slug in (*PROVIDERS.slugs(), *SOURCES.slugs())]
    return HttpClient(
        contact=settings.contact,
        allow=[*allowed, *(_host_port(url) for url in own if url)],
        offline=settings.offline,
    )


def fonts_folder(settings: Settings) -> Path:
    """Where captions and cards find their fonts; filled from the package at first use."""
    from media.fonts import install_fonts

    return install_fonts(settings.var_dir / "fonts", settings.fonts_dir)


def _host_port(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _context(**more: Any) -> Context:
    return Context(http=http_client(), settings=get_settings(), **more)


def _open(slug: str, kind: str | None, token: str | None = None, **more: Any) -> Any:
    adapter = PROVIDERS.get(slug, kind)
    if reason := adapter.enabled(get_settings()):
        raise Misconfigured(f"The provider {slug} is off: {reason}")
    return adapter(_context(callback_url=_callback_url(adapter, more.get("endpoint"), token), **more))


def calls_back(adapter: type[Any]) -> bool:
    """Whether a vendor can tell us of news by itself."""
    return issubclass(adapter, Vendor) and adapter.parse_callback is not Vendor.parse_callback


def _callback_url(adapter: type[Any], endpoint: str | None, token: str | None) -> str | None:
    """Our door for a vendor's callbacks, where it is known and the vendor may use it.

    Vendors refuse requests that name a door without TLS; one that is itself without is on this machine.
    """
    settings = get_settings()
    if not settings.public_url or not calls_back(adapter):
        return None
    vendor = endpoint or settings.vendor(adapter.slug).url or ""
    if not settings.public_url.startswith("https://") and not vendor.startswith("http://"):
        return None
    door = f"{settings.public_url.rstrip('/')}/api/v1/callbacks/{adapter.slug}"
    return f"{door}?token={token}" if token else door


def open_writer(slug: str) -> ScriptWriter:
    """Open the writer the brief names; `auto` takes the first one that is enabled."""
    if slug != "auto":
        return cast(ScriptWriter, _open(slug, "script"))
    for choice in WRITERS_BY_CHOICE:
        if PROVIDERS.get(choice, "script").enabled(get_settings()) is None:
            return cast(ScriptWriter, _open(choice, "script"))
    raise Misconfigured("No script writer is enabled.")


def open_speech(slug: str) -> SpeechProvider:
    return cast(SpeechProvider, _open(slug, "speech"))


def open_video(
    slug: str, *, craft: Craft | None = None, model: str | None = None, endpoint: str | None = None
) -> VideoProvider:
    """Open a video provider; `model` and `endpoint` as frozen on a submission, else as the settings say."""
    return cast(VideoProvider, _open(slug, "video", craft=craft, model=model, endpoint=endpoint))


def open_remote(
    slug: str, *, model: str | None = None, endpoint: str | None = None, token: str | None = None
) -> RemoteProvider[Any]:
    """Open the vendor of a submission, whatever it makes; see `open_video`.

    Callbacks about what is submitted then come back with the `token`.
    """
    return cast("RemoteProvider[Any]", _open(slug, None, token=token, model=model, endpoint=endpoint))


def open_moderator(slug: str) -> Moderator:
    return cast(Moderator, _open(slug, "moderation"))


def open_notifier(slug: str) -> Notifier:
    return cast(Notifier, _open(slug, "notification"))


def notifiers() -> list[str]:
    """Who tells people, here: every notifier with a key and a recipient."""
    settings = get_settings()
    return [slug for slug, one in PROVIDERS.all("notification").items() if one.enabled(settings) is None]


def open_remover(slug: str) -> TextRemover:
    return cast(TextRemover, _open(slug, "text_removal"))


def account_of(provider: RemoteProvider[Any]) -> Account:
    """What an opened vendor takes from us over all processes, and whether it answers."""
    try:
        home = type(provider)(_context()).endpoint
    except PipelineError:  # the settings name no address now
        home = provider.endpoint
    return Account(provider, home)


def open_source(slug: str, *, seconds: float | None = None) -> Source:
    """Open a source behind its door; `seconds` bounds all that is asked of it, for a search."""
    source = SOURCES.get(slug)
    settings = get_settings()
    if reason := _source_off(source, settings):
        raise Misconfigured(f"The source {slug} is off: {reason}", code="source_off")
    return cast(Source, source(Door(source, settings, seconds=seconds).client(http_client()), settings))


def enabled_sources(kind: str) -> list[str]:
    """Slugs of the sources that may be searched for `image`, `clip` or `audio`."""
    settings = get_settings()
    return [
        slug
        for slug, source in SOURCES.all().items()
        if kind in source.kinds and _source_off(source, settings) is None
    ]


def check_names(params: dict[str, Any]) -> None:
    """Refuse a film brief that names a provider, writer, narrator or source nobody has heard of."""
    for name, kind, more in _CHOICES:
        value = params[name]
        if value not in more and not PROVIDERS.has(value, kind):
            _refuse(value, (*more, *PROVIDERS.slugs(kind)), field=f"params.{name}")
    for value in params["sources"] or []:
        if not SOURCES.has(value):
            _refuse(value, SOURCES.slugs(), field="params.sources")
    music = params["music"]["from"]
    if music not in _NO_SOURCE and not SOURCES.has(music):
        _refuse(music, (*_NO_SOURCE, *SOURCES.slugs()), field="params.music.from")


_CHOICES = (("narrator", "speech", ()), ("moderation", "moderation", ()), ("writer", "script", ("auto",)))
_NO_SOURCE = ("none", "asset", "search")


def _refuse(value: str, allowed: Iterable[str], *, field: str) -> NoReturn:
    raise Invalid(f"Unknown {value!r}; allowed: {', '.join(allowed)}.", field=field)


@cache
def warn_of_disabled() -> None:
    """Say once a process which providers are off, and what would switch them on; nothing refuses to start."""
    settings = get_settings()
    reasons = {slug: adapter.enabled(settings) for slug, adapter in PROVIDERS.all().items()}
    off = {slug: reason for slug, reason in reasons.items() if reason is not None}
    if off:
        log.warning("some providers are off", off=off)


def describe_abilities() -> dict[str, Any]:
    """What this process can do, for health: every provider and source, and why one is off."""
    settings = get_settings()
    return {
        "ffmpeg": str(ffmpeg_path()),
        "providers": {
            slug: {
                "enabled": (reason := adapter.enabled(settings)) is None,
                "reason": reason,
                "kinds": [adapter.kind],
            }
            for slug, adapter in PROVIDERS.all().items()
        },
        "sources": {
            slug: {
                "enabled": (reason := _source_off(source, settings)) is None,
                "reason": reason,
                "kinds": list(source.kinds),
            }
            for slug, source in SOURCES.all().items()
        },
    }


def _source_off(source: Any, settings: Settings) -> str | None:
    if settings.offline and source.needs_network:
        return "OFFLINE is set."
    reason: str | None = source.enabled(settings)
    return reason
