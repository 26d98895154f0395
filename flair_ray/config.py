"""Every setting, read once from the environment and passed down.

``Settings`` are the studio's own (``FLAIR_…``); ``Account`` is what we know of one model provider, from
the names people already export (``OPENAI_API_KEY``) and from ``FLAIR_<PROVIDER>_…``. Nothing else in the
project reads the environment. The table in docs/reference/settings.md is compared with this file by a test.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from flair_ray.errors import InputError


def _default_data_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "flair_ray"


class Settings(BaseSettings):
    """The studio's settings. Secrets do not show in its repr."""

    model_config = SettingsConfigDict(env_prefix="FLAIR_", frozen=True, extra="ignore")

    data_dir: Path = Field(
        default_factory=_default_data_dir, description="Where runs, reports, records and the embedded Redis live."
    )
    redis_url: SecretStr | None = Field(
        None, description="A Redis or Valkey to use instead of the embedded one (redis://, rediss://, unix://)."
    )
    run_ttl_s: int = Field(7 * 86_400, gt=0, description="How long Redis keeps a run after its last change, seconds.")
    lease_ttl_s: float = Field(
        10.0, gt=0, description="After how long without renewal another driver may take a run over, seconds."
    )
    call_timeout_s: float = Field(120.0, gt=0, description="Deadline of one model call, seconds.")
    item_deadline_s: float = Field(600.0, gt=0, description="Deadline of one item over all its attempts, seconds.")
    max_attempts: int = Field(5, ge=1, le=20, description="Calls an item may take when its provider fails for a while.")
    stage_failure_share: float = Field(
        0.5, gt=0, le=1, description="A stage with more than this share of its items skipped fails the run."
    )
    quorum: float = Field(
        0.95, gt=0, le=1, description="Share of a stage's results with which it moves on, after a short grace."
    )
    hedged_share: float = Field(
        0.1, ge=0, le=1, description="Extra calls a stage may spend on stragglers, as a share of its items; 0: none."
    )
    node_wait_s: float = Field(
        900.0, gt=0, description="How long a run waits while no node of its cluster takes work, seconds."
    )
    cache_ttl_s: int = Field(
        30 * 86_400, gt=0, description="How long the analysis of a video is kept for other runs, seconds."
    )
    run_hosts: int = Field(
        2, ge=1, le=64, description="Actors that drive the runs of a service, a hundred each; with two, one may die."
    )
    persona_pools: int = Field(
        2, ge=1, le=64, description="Actors that hold the personas; the same for everybody who shares a Redis."
    )
    max_in_flight: int | None = Field(
        None, ge=1, description="Calls in flight at once, for every provider without a limit of its own."
    )
    max_videos: int = Field(10_000, ge=1, description="Most videos of one run.")
    max_scripts: int = Field(200, ge=1, description="Most scripts of one run.")
    max_personas: int = Field(10_000, ge=1, description="Most personas of one run.")
    max_waiting: int = Field(
        10_000, ge=1, description="Most runs that are under way or wait; further starts over HTTP get a 429."
    )
    veo_usd: float = Field(3.2, ge=0, description="What a video of Veo counts as in a tenant's budget, dollars.")
    max_transcript_bytes: int = Field(
        200_000, ge=1, description="A video with a longer transcript is skipped, bytes of UTF-8."
    )
    max_upload_bytes: int = Field(
        64 * 1024**2, ge=1, description="Most bytes of one upload over HTTP, all its files together."
    )
    max_body_bytes: int = Field(
        1024**2,
        ge=1024,
        description="Most bytes of a JSON body over HTTP; the longest profile takes half of the default.",
    )
    s3_bucket: str | None = Field(
        None, min_length=1, description="The bucket that keeps the files of runs; unset: the data directory."
    )
    s3_prefix: str = Field("runs/", description="What the names of our objects in the bucket begin with.")
    dynamodb_table: str | None = Field(
        None, min_length=1, description="The table that keeps records of runs and posts; unset: the data directory."
    )
    keep_days: int | None = Field(
        None, ge=1, description="After how many days DynamoDB may remove a record; unset: never."
    )
    cloudwatch_namespace: str | None = Field(
        None, min_length=1, description="Where a run host publishes what waits for workers; unset: nowhere."
    )
    api_tokens: SecretStr = Field(
        SecretStr(""),
        description="Who may use the API: `NAME:SHA256` of each token, as `flair token NAME` prints them.",
    )
    allow_anyone: bool = Field(
        False, description="Serve the API without tokens beyond this machine, to whoever reaches the port."
    )
    cors_origins: str = Field(
        "", description="Origins whose pages may use the API, such as `https://a.example`; `*`: all, with tokens."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "WARNING", description="Level of the logs on standard error."
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="Lines of text, or of JSON with the run, stage and request they are about."
    )
    otlp_endpoint: str | None = Field(
        None, min_length=1, description="A collector for OpenTelemetry spans (OTLP over HTTP); unset: none are made."
    )


@dataclass(frozen=True, slots=True)
class Account:
    """One provider account: where, with which key, how much at once."""

    provider: str
    api_key: SecretStr | None = None
    base_url: str | None = None
    model: str | None = None
    max_in_flight: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    project: str | None = None
    """Of Google Cloud, where Veo is."""
    location: str | None = None


LOCAL_SLOTS = 2
"""Calls that the local model answers at once, and its limit in flight unless told otherwise."""
OFFLINE = "offline"
"""The provider that is no server."""
OWN = "own"
"""The provider that a caller of the library brings along."""
KEY_NAMES: Mapping[str, tuple[str, ...]] = {
    "kimi": ("MOONSHOT_API_KEY", "KIMI_API_KEY"),
    "openai": ("OPENAI_API_KEY",),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
}
"""The names under which people already export their keys, first match wins."""
SECRET_ENDINGS = ("_KEY", "_TOKEN", "_PASSWORD", "_SECRET", "_HEADERS")
"""Of the names of variables whose value no log may have."""


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment. Raises InputError naming the variable that cannot be used."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # checked by pydantic
    except ValidationError as err:
        first = err.errors()[0]
        name = "FLAIR_" + "_".join(str(part) for part in first["loc"]).upper()
        raise InputError(
            f"{name} cannot be used: {first['msg']}. The settings reference lists what it takes."
        ) from None


def load_account(provider: str, environ: Mapping[str, str] | None = None) -> Account:
    """What the environment says about one provider. Raises InputError for a limit that is not a number."""
    env = os.environ if environ is None else environ
    prefix = f"FLAIR_{provider.upper()}_"
    key = next((env[n] for n in (prefix + "API_KEY", *KEY_NAMES.get(provider, ())) if env.get(n)), None)

    def limit(name: str) -> int | None:
        text = env.get(prefix + name)
        if not text:
            return None
        if not text.isdigit() or int(text) < 1:
            raise InputError(f"{prefix}{name} must be a whole number above 0, not {text!r}.")
        return int(text)

    return Account(
        provider=provider,
        api_key=SecretStr(key) if key else None,
        base_url=env.get(prefix + "BASE_URL") or None,
        model=env.get(prefix + "MODEL") or None,
        max_in_flight=limit("MAX_IN_FLIGHT") or (LOCAL_SLOTS if provider == "local" else None),
        rpm=limit("RPM"),
        tpm=limit("TPM"),
        project=env.get(prefix + "PROJECT") or None,
        location=env.get(prefix + "LOCATION") or None,
    )


def known_secrets(settings: Settings, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """What no log may say: keys, tokens and their digests, passwords."""
    env = os.environ if environ is None else environ
    keys = [env[name] for name in env if name.endswith(SECRET_ENDINGS)]
    url = settings.redis_url.get_secret_value() if settings.redis_url else ""
    password = urlsplit(url).password or ""
    entries = settings.api_tokens.get_secret_value().replace(",", " ").split()
    digests = (entry.split(":")[1] for entry in entries if ":" in entry)  # limits may stand behind
    found = (*keys, *digests, password, unquote(password))
    return tuple(secret.strip() for secret in found if secret.strip())


def ray_address() -> str | None:
    """The cluster that Ray's own variable names, if any."""
    return os.environ.get("RAY_ADDRESS") or None
