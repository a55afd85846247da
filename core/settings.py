"""Every setting of an installation, read once from the environment (and `.env`).

Nothing else in the project reads the environment. A test compares this class with `.env.example`
and `docs/configuration.md`. No secret has a default.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent


class VendorSettings(BaseSettings):
    """What an installation says about one vendor, in variables that begin with its slug: `KLING_API_KEY`.

    Every vendor has these names and reads those it needs; its fact sheet says which.
    """

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    api_key: SecretStr | None = None
    api_secret: SecretStr | None = None
    """The second half of a key pair, where a vendor signs requests."""
    webhook_secret: SecretStr | None = None
    url: str | None = None
    """Another address than the vendor's own: a relay, a region, a server of one's own, the simulator."""
    model: str | None = None
    voice: str | None = None
    region: str | None = None
    project: str | None = None
    collections: str | None = None
    """Comma list of the parts of a source that are searched, where some vouch for what they hold."""
    recipient: str | None = None
    """Where notifications go: a channel, a chat."""
    enabled: bool | None = None
    """A source switched on by an operator who has read its terms, or off (false)."""
    calls_per_day: int | None = Field(None, ge=0)
    """The most a source is asked within a day (UTC); unset: what its fact sheet says."""
    prices_checked_on: date | None = None
    """When somebody last found the vendor's list to say what our rate cards say."""

    @classmethod
    def of(cls, slug: str) -> VendorSettings:
        return cls(_env_prefix=f"{slug.upper()}_", _env_file=Settings.model_config.get("env_file"))


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_file=ROOT / ".env", extra="ignore", frozen=True)

    # -- where things are ---------------------------------------------------------------------
    callsheet_env: Literal["development", "production"] = Field(
        "development", description="`production` logs JSON and refuses to start without its secrets."
    )
    var_dir: Path = Field(
        ROOT / "var", description="Data of the embedded servers, the disk store, scratch files, logs."
    )
    database_url: str | None = Field(
        None, description="`postgresql+psycopg2://…`. Unset: the embedded PostgreSQL."
    )
    redis_url: str | None = Field(
        None, description="`redis://…` for chord counters, cache, limits. Unset: the embedded Redis."
    )
    broker_url: str | None = Field(
        None, description="Celery's broker, `redis://…` or `amqp://…`. Unset: the same Redis, database 1."
    )
    log_format: Literal["auto", "json", "pretty"] = Field(
        "auto", description="How logs look; `auto` is `pretty` on a development terminal, else `json`."
    )

    # -- doors --------------------------------------------------------------------------------
    api_host: str = Field("127.0.0.1", description="Address the API listens on.")
    api_port: int = Field(8080, ge=0, le=65535, description="Port of the API; 0 takes a free one.")
    flower_port: int = Field(5555, ge=0, le=65535, description="Port of Flower; 0 takes a free one.")
    flower_url: str | None = Field(
        None,
        description="How people reach Flower; used in links. Unset: its own address, in production no links.",
    )
    public_url: str | None = Field(
        None,
        description="How clients and vendors reach the API; used in links and, with https, for callbacks. "
        "Unset: `http://API_HOST:API_PORT`.",
    )
    cors_origins: str = Field("", description="Comma list of origins that browsers may call from.")
    secret_key: SecretStr | None = Field(
        None,
        description="Signs file URLs and cursors. Unset in development: made once and kept in `VAR_DIR`.",
    )
    flower_basic_auth: SecretStr | None = Field(
        None, description="`user:password` of Flower. Unset in development: made once, kept in `VAR_DIR`."
    )
    metrics_token: SecretStr | None = Field(
        None,
        description="Bearer token that reads `/metrics` and nothing else. Unset: only an admin's key does.",
    )
    max_upload_bytes: int = Field(2 * 1024**3, gt=0, description="Largest accepted upload.")
    upload_ttl_hours: float = Field(
        24.0, gt=0, description="An unfinished upload is forgotten when nothing came for so long."
    )
    upload_silence_seconds: float = Field(
        30.0, gt=0, description="A transfer in which nothing comes for so long is ended; it can be resumed."
    )

    # -- object store -------------------------------------------------------------------------
    storage_url: str = Field("disk", description="`disk` (in `VAR_DIR/store`) or `s3://bucket/prefix`.")
    s3_endpoint_url: str | None = Field(None, description="Endpoint of an S3 store that is not AWS.")
    s3_region: str = Field("us-east-1", description="Region named in S3 signatures.")
    s3_access_key_id: SecretStr | None = Field(None, description="S3 access key id.")
    s3_secret_access_key: SecretStr | None = Field(None, description="S3 secret access key.")
    presign_ttl_seconds: int = Field(3600, gt=0, description="How long a signed file URL works.")

    # -- craft --------------------------------------------------------------------------------
    ffmpeg: Path | None = Field(
        None, description="An ffmpeg to use. Unset: the system's when new enough, else the packaged one."
    )
    fonts_dir: Path | None = Field(None, description="Extra fonts for captions and cards.")
    media_slots: int = Field(0, ge=0, description="Processes of worker-media; 0 = one per core.")
    io_threads: int = Field(8, gt=0, description="Threads of worker-io.")

    # -- sources ------------------------------------------------------------------------------
    contact: str = Field(
        "", description="Web page or e-mail of the operator, sent to sources that ask for one (Commons)."
    )
    samples_enabled: bool = Field(True, description="Offer the photographs that ship inside a package.")
    folder_sources: str = Field(
        "", description="Comma list of folders on this machine that may be searched as a source."
    )
    youtube_audio_library_folder: str = Field(
        "",
        description="Comma list of folders with tracks of YouTube's audio library and their `manifest.csv`.",
    )
    youtube_audio_library_anywhere: bool = Field(
        False,
        description="You have made sure that the library's own licence covers films shown off YouTube too.",
    )
    openverse_client_id: str | None = Field(None, description="Openverse client id (higher limits).")
    openverse_client_secret: SecretStr | None = Field(None, description="Openverse client secret.")
    offline: bool = Field(False, description="Refuse every source and vendor beyond this machine.")

    # -- writers ------------------------------------------------------------------------------
    ollama_url: str | None = Field(None, description="Base URL of an Ollama server.")
    ollama_model: str = Field("llama3.2", description="Model that writes scripts through Ollama.")
    openai_compatible_url: str | None = Field(
        None, description="Base URL (ending in `/v1`) of a chat-completions server."
    )
    openai_compatible_model: str | None = Field(None, description="Model name at that server.")
    openai_compatible_key: SecretStr | None = Field(None, description="Bearer key for that server.")
    openai_compatible_input_price: int | None = Field(
        None,
        ge=0,
        description="Micro-USD that server takes for a million tokens it reads; 0 for one of your own. "
        "Unset: unknown, so that a brief has to say `accept_unknown_prices`.",
    )
    openai_compatible_output_price: int | None = Field(
        None, ge=0, description="Micro-USD that server takes for a million tokens it writes."
    )

    # -- money --------------------------------------------------------------------------------
    money_mode: Literal["off", "shadow", "enforce"] = Field(
        "enforce",
        description="Over a cap or the wallet: `enforce` waits, `shadow` only warns, `off` books nothing.",
    )

    # -- engine -------------------------------------------------------------------------------
    step_lease_seconds: int = Field(
        30, gt=2, description="A step whose worker was silent this long is given to another."
    )
    sweep_seconds: float = Field(5.0, gt=0, description="How often beat looks for lost messages and leases.")
    poll_seconds: float = Field(
        2.0, gt=0, description="Shortest time between two questions to a vendor about the same take."
    )
    lookup_grace_seconds: float = Field(
        120.0,
        ge=0,
        description="A request that a vendor cannot find this long after it was sent was not accepted.",
    )
    submission_deadline_minutes: float = Field(
        60.0, gt=0, description="A take that a vendor has not made by then is made by the next provider."
    )
    job_timeout_hours: float = Field(
        72.0,
        ge=0,
        description="A job other than a film fails when it takes longer and its client said nothing "
        "(`timeout_minutes`); 0 = no limit.",
    )
    approval_ttl_hours: int = Field(168, gt=0, description="A gate nobody answers expires after this.")
    blob_grace_hours: int = Field(24, ge=0, description="Age at which a blob without renditions may go.")
    failpoints: bool = Field(
        False,
        description="Tests only: die or stall where a file in `VAR_DIR/failpoints` says.",
    )
    allow_private_hosts: str = Field(
        "",
        description="Comma list of host:port the SSRF guard lets through (a local Ollama, the simulator).",
    )

    def vendor(self, slug: str) -> VendorSettings:
        """What the environment says about one vendor."""
        return VendorSettings.of(slug)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The process's settings; tests clear the cache after changing the environment."""
    return Settings()
