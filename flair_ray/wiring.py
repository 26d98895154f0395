"""The only place where concrete adapters are chosen: which Redis, which Ray, which model.

choose_model ── which provider and model a run uses
open_store ──── a Redis by URL, or the embedded server of the data directory
open_archive ── what is kept for good: S3 and DynamoDB where they are set, else the data directory
open_studio ─── a store, Ray and a driver: everything to carry runs out
open_hosts ──── a store and the cluster's run hosts: to hand runs in and go away
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from flair_ray import __version__
from flair_ray.actors.persona_pool import PersonaPool
from flair_ray.actors.run_host import RunHost
from flair_ray.actors.video_desk import VideoDesk
from flair_ray.config import KEY_NAMES, OFFLINE, OWN, Account, Settings, load_account
from flair_ray.domain.ids import digest, new_run_id
from flair_ray.domain.runs import Limits, ModelChoice
from flair_ray.domain.video_jobs import ANIMATIC, VEO, VIDEO_PROVIDERS
from flair_ray.engine.archive import Archive
from flair_ray.engine.driver import Driver, DriverSettings
from flair_ray.engine.filming import Studio as VideoStudio
from flair_ray.engine.filming import VideoProvider
from flair_ray.engine.keeping import Keeper
from flair_ray.engine.naming import service_name
from flair_ray.engine.order import answers_version
from flair_ray.engine.past import AllRuns
from flair_ray.engine.plan import NOTHING_OWN, Own
from flair_ray.engine.ray_worker import ToolKit
from flair_ray.engine.telling import Teller
from flair_ray.errors import FlairError, InputError, MissingKey, StoreUnavailable
from flair_ray.flow.clock import SystemClock
from flair_ray.ports import Panel
from flair_ray.providers.local import DEFAULT_MODEL, find_model
from flair_ray.stores.backlog import RedisBacklog
from flair_ray.stores.cloudwatch import CloudWatch
from flair_ray.stores.dynamodb import DynamoRecords
from flair_ray.stores.embedded import EmbeddedServer
from flair_ray.stores.local_files import LocalFiles
from flair_ray.stores.local_records import LocalRecords
from flair_ray.stores.personas import RedisPersonas
from flair_ray.stores.redis_store import RedisRunStore, connect, ping
from flair_ray.stores.s3 import S3Files
from flair_ray.stores.unkept import RedisUnkept
from flair_ray.stores.video_jobs import RedisVideoJobs
from flair_ray.telemetry import spans

Progress = Callable[[float], None]
LOCAL = "local"
RECORDS, RUNS = "records.sqlite3", "runs"
"""In the data directory: records of runs and posts, and a folder of files per run."""
DEFAULT_MODELS = {
    "kimi": "kimi-k2.6",
    "openai": "gpt-5.4-mini",
    "gemini": "gemini-3.8-flash",
    LOCAL: DEFAULT_MODEL,
    OFFLINE: "offline-heuristic",
}
"""Every provider, with the model it uses when none is named. The first whose key is set is the default."""
VIDEO_PACKAGES = ("av", "PIL", "fontpkg_inter")
VENDOR_LIMITS = {"kimi": Limits(50, 200, 2_000_000)}
"""What a vendor documents for an account that has just been topped up.

Moonshot's tier 1, $10 paid in: https://platform.kimi.ai/docs/pricing/limits. Those of OpenAI and Gemini depend on model
and tier and show in their consoles only, so none is declared: https://developers.openai.com/api/docs/guides/rate-limits,
https://ai.google.dev/gemini-api/docs/rate-limits."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A model with the account that pays for it."""

    model: ModelChoice
    account: Account
    why: str = ""
    """Why this one, in words."""
    own: Own = NOTHING_OWN


def choose_model(
    provider: str | None = None, model: str | None = None, base_url: str | None = None, *, keyless: bool = False
) -> Choice:
    """The provider that was named; else the first with a key; else offline.

    Raises InputError for an unknown one or a local one without its file, MissingKey for one without its key, unless
    that is not needed.
    """
    name, why = _named(provider, base_url)
    if name not in DEFAULT_MODELS:
        raise InputError(f"There is no provider {name!r}. Choose one of: {', '.join(DEFAULT_MODELS)}.")
    account = load_account(name)
    url = base_url or account.base_url
    if url and not (urlsplit(url).scheme in ("http", "https") and urlsplit(url).hostname):
        raise InputError(f"{url!r} is no server's address: it must begin with http:// or https:// and name a host.")
    if name not in (LOCAL, OFFLINE) and account.api_key is None and url is None and not keyless:
        raise MissingKey(f"{name} needs an API key: set {KEY_NAMES[name][0]}, or run with --provider offline.")
    chosen = ModelChoice(name, model or account.model or DEFAULT_MODELS[name], url)
    if name == LOCAL:
        find_model(chosen.model)
    return Choice(chosen, account, why)


def with_own(own: Own, choose: Callable[[], Choice], model: str | None = None) -> Choice:
    """The provider that a caller brings along, under its class's name unless ``model`` is another; else the choice."""
    own.all_stages()
    if own.provider is None:
        return replace(choose(), own=own)
    name = model or type(own.provider).__name__
    return Choice(ModelChoice(OWN, name), load_account(OWN), "it was brought along", own)


def check_video(name: str) -> None:
    """Raises InputError for an unknown video provider or one whose extra is missing, MissingKey for one without key."""
    if name not in VIDEO_PROVIDERS:
        raise InputError(f"There is no video provider {name!r}. Choose one of: {', '.join(VIDEO_PROVIDERS)}.")
    if name == ANIMATIC and not all(find_spec(package) for package in VIDEO_PACKAGES):
        raise InputError("Animatics need the extra: pip install 'flair_ray[video]'.")
    account = load_account(name)
    if name == VEO and not (account.api_key or account.project):
        raise MissingKey(
            "veo needs a Google Cloud account: set FLAIR_VEO_PROJECT, with application-default credentials, or "
            "FLAIR_VEO_API_KEY. animatic needs none."
        )


def usable_videos() -> list[str]:
    """The video providers that can be used here and now, the default first."""
    usable = []
    for name in VIDEO_PROVIDERS:
        with suppress(FlairError):
            check_video(name)
            usable.append(name)
    return usable


def choose_voters(asked: str, writer: Choice, *, keyless: bool = False) -> Choice:
    """Who votes: PROVIDER, PROVIDER:MODEL, or another MODEL of the provider that writes. Raises as ``choose_model``."""
    provider, _, model = asked.partition(":")
    if provider in DEFAULT_MODELS:
        return choose_model(provider, model or None, keyless=keyless)
    return choose_model(writer.model.provider, asked, writer.model.base_url, keyless=keyless)


def declared_limits(choice: Choice, settings: Settings, asked: Limits | None = None) -> Limits:
    """Each limit by whoever says it first: the command, FLAIR_<PROVIDER>_…, FLAIR_MAX_IN_FLIGHT, the vendor."""
    account = choice.account
    own = Limits(account.max_in_flight, account.rpm, account.tpm)
    vendor = Limits() if choice.model.base_url else VENDOR_LIMITS.get(account.provider, Limits())
    sources = (asked or Limits(), own, Limits(settings.max_in_flight), vendor)

    def first(name: str) -> int | None:
        return next((limit for source in sources if (limit := getattr(source, name)) is not None), None)

    return Limits(first("max_in_flight"), first("rpm"), first("tpm"))


def _named(provider: str | None, base_url: str | None) -> tuple[str, str]:
    if provider:
        return provider, "it was asked for"
    if base_url:
        return "openai", "--base-url names a server that speaks its protocol"
    for name in KEY_NAMES:
        if load_account(name).api_key:
            return name, f"{KEY_NAMES[name][0]} is set"
    return OFFLINE, "no API key is set"


@dataclass(frozen=True, slots=True)
class OpenStore:
    """A store that answers, and where workers find it."""

    store: RedisRunStore
    url: str
    embedded: bool
    keeper: Keeper
    panel: Panel
    """On the same connections: what it is told, the cluster's pools find in Redis when they next seat a persona."""

    @property
    def runs(self) -> AllRuns:
        """Also those that Redis has forgotten."""
        return AllRuns(self.store, self.keeper.archive)


@asynccontextmanager
async def open_store(settings: Settings, *, visiting: bool = False) -> AsyncIterator[OpenStore]:
    """The store of these settings, checked; ``visiting``: only to look, or to leave word. Raises StoreUnavailable."""
    if settings.redis_url:
        url, server = settings.redis_url.get_secret_value(), None
        if not await ping(url):
            raise StoreUnavailable(
                "The Redis in FLAIR_REDIS_URL does not answer. Is it running, is the password right?"
            )
    else:
        server = EmbeddedServer(settings.data_dir, visiting=visiting)
        await asyncio.to_thread(server.open)
        url = server.url
    redis = connect(url)
    store, archive = RedisRunStore(redis, settings.run_ttl_s), open_archive(settings)
    try:
        keeper = Keeper(store, RedisUnkept(redis), archive)
        panel = PersonaPool(RedisPersonas(redis, settings.run_ttl_s))
        yield OpenStore(store, url, server is not None, keeper, panel)
    finally:
        await archive.close()
        await store.close()
        if server:
            await asyncio.to_thread(server.close)


def open_archive(settings: Settings) -> Archive:
    """Where runs and posts are kept for good. Connects to nothing yet; whoever opens it closes it."""
    bucket, table = settings.s3_bucket, settings.dynamodb_table
    return Archive(
        records=DynamoRecords(table, settings.keep_days) if table else LocalRecords(settings.data_dir / RECORDS),
        files=S3Files(bucket, settings.s3_prefix) if bucket else LocalFiles(settings.data_dir / RUNS),
    )


@dataclass(frozen=True, slots=True)
class Studio:
    """Everything it takes to carry runs out."""

    store: RedisRunStore
    driver: Driver
    keeper: Keeper


@asynccontextmanager
async def open_studio(
    settings: Settings, choice: Choice, address: str | None = None, voters: ModelChoice | None = None
) -> AsyncIterator[Studio]:
    """Redis and Ray, started side by side: Ray takes seconds, everything else fits in them.

    A local Ray ends with this context; a joined cluster is left as it is. ``voters``: who votes, where that is another
    model. Both are asked whether they would answer: a refused key is known now and not in the fourth stage. Raises
    what they say, StoreUnavailable, ClusterUnavailable, and InputError for several nodes without a shared Redis.
    """
    from flair_ray.engine.ray_executor import RayExecutor, leave_ray
    from flair_ray.engine.ray_limiter import start_limiter
    from flair_ray.engine.ray_personas import PersonasIn, RayPanel

    spans.set_up(settings.otlp_endpoint)
    if address is None:  # one machine: a second pool would be one more process to start
        settings = settings.model_copy(update={"persona_pools": 1})
    ray_starts = asyncio.create_task(asyncio.to_thread(_start_ray, address))
    try:
        async with open_store(settings) as opened:
            nodes = await asyncio.shield(ray_starts)
            if opened.embedded and nodes > 1:
                raise InputError(
                    f"This cluster has {nodes} nodes, and they need a Redis they can all reach: set FLAIR_REDIS_URL."
                )
            models = tuple(dict.fromkeys((choice.model, *([voters] if voters else []))))
            if any(model.provider != OFFLINE for model in models):
                start_limiter(opened.url, service_name(opened.url))
            panel = RayPanel(
                PersonasIn(opened.url, settings.run_ttl_s, settings.persona_pools), service_name(opened.url)
            )
            executor = RayExecutor(_tool_kit(settings, opened.url, choice), __version__, settings.node_wait_s)
            await executor.warm(models, everywhere=address is None)
            panel.start()  # needed in the fourth stage: it must not keep the first one waiting
            rules = driver_settings(settings, choice.own)
            yield Studio(opened.store, Driver(opened.store, executor, rules, SystemClock(), panel), opened.keeper)
    finally:
        # Whoever is told to stop while Ray starts waits for it: half a Ray cannot be shut down.
        await asyncio.wait({ray_starts})
        if not ray_starts.cancelled() and ray_starts.exception() is None:
            await asyncio.to_thread(leave_ray)


async def make_run_host(settings: Settings, redis_url: str) -> RunHost:
    """A host on the cluster, built in its actor. Accounts are those of the node it runs on."""
    from flair_ray.engine.ray_executor import RayExecutor, workers
    from flair_ray.engine.ray_personas import PersonasIn, RayPanel
    from flair_ray.engine.ray_videos import RayFilming
    from flair_ray.workbench import payer, watch, worker_tools

    watch(settings)
    redis = connect(redis_url)
    store = RedisRunStore(redis, settings.run_ttl_s)
    kit = ToolKit(digest(__version__, redis_url, repr(settings)), partial(worker_tools, settings, redis_url, {}))
    panel = RayPanel(PersonasIn(redis_url, settings.run_ttl_s, settings.persona_pools), service_name(redis_url))
    executor = RayExecutor(kit, __version__, settings.node_wait_s)
    driver = Driver(store, executor, driver_settings(settings), SystemClock(), panel)
    jobs = RedisVideoJobs(redis, settings.run_ttl_s, settings.lease_ttl_s)
    videos = VideoDesk(jobs, RayFilming(partial(video_studio, settings, redis_url)))
    keeper = Keeper(store, RedisUnkept(redis), open_archive(settings))
    namespace = settings.cloudwatch_namespace
    teller = Teller(store, RedisBacklog(redis, payer), workers, CloudWatch(namespace) if namespace else None)
    return RunHost(store, driver, SystemClock(), keeper.keep_ended, videos=videos, tell=teller.tell)


def make_video_provider(name: str, progress: Progress | None = None) -> VideoProvider:
    """The adapter for one video provider, with the account of this process' environment."""
    if name == VEO:
        from flair_ray.providers.veo import Veo

        return Veo(load_account(VEO))
    from flair_ray.providers.animatic import Animatic

    return Animatic(progress=progress)


@asynccontextmanager
async def video_studio(
    settings: Settings, redis_url: str, progress: Progress | None = None
) -> AsyncIterator[VideoStudio]:
    """What one process needs to make videos; ``progress`` is told the share that is done."""
    redis = connect(redis_url)
    store, archive = RedisRunStore(redis, settings.run_ttl_s), open_archive(settings)
    try:
        yield VideoStudio(
            jobs=RedisVideoJobs(redis, settings.run_ttl_s, settings.lease_ttl_s),
            store=store,
            provider_for=partial(make_video_provider, progress=progress),
            files=archive.files,
            clock=SystemClock(),
        )
    finally:
        await archive.close()
        await store.close()


@asynccontextmanager
async def open_hosts(settings: Settings, address: str) -> AsyncIterator[Hosts]:
    """The run hosts of a cluster, to hand runs in to. Raises InputError without a Redis that outlives this process."""
    from flair_ray.engine.ray_executor import leave_ray

    if not settings.redis_url:
        raise InputError("A run that is handed in outlives this command, and so must its Redis: set FLAIR_REDIS_URL.")
    async with open_store(settings) as opened:
        await asyncio.to_thread(_start_ray, address)
        try:
            yield Hosts(opened.store, start_hosts(settings, opened.url))
        finally:
            await asyncio.to_thread(leave_ray)


def start_hosts(settings: Settings, redis_url: str) -> list[Any]:
    """The run hosts of the Ray that this process is in, started where they are missing."""
    from flair_ray.engine.ray_hosts import run_hosts

    return run_hosts(partial(make_run_host, settings, redis_url), service_name(redis_url), settings.run_hosts)


@dataclass(frozen=True, slots=True)
class Hosts:
    """Where runs are handed in."""

    store: RedisRunStore
    actors: list[Any]

    async def nudge(self) -> None:
        """Have the new run seen at once. It would be seen in a second anyway, so one host that answers is enough."""
        await asyncio.wait(
            [asyncio.ensure_future(actor.nudge.remote()) for actor in self.actors], return_when=asyncio.FIRST_COMPLETED
        )


def _start_ray(address: str | None) -> int:
    from flair_ray.engine.ray_executor import alive_nodes, join_ray

    join_ray(address)
    return alive_nodes()


def _tool_kit(settings: Settings, redis_url: str, choice: Choice) -> ToolKit:
    from flair_ray.workbench import worker_tools

    key = choice.account.api_key.get_secret_value() if choice.account.api_key else ""
    build = partial(worker_tools, settings, redis_url, {choice.account.provider: choice.account}, choice.own)
    brought = new_run_id() if choice.own != NOTHING_OWN else ""  # never that of another caller
    return ToolKit(digest(__version__, redis_url, choice.account.provider, key, repr(settings), brought), build)


def driver_settings(settings: Settings, own: Own = NOTHING_OWN) -> DriverSettings:
    """What the driver has to know."""
    return DriverSettings(
        fingerprint_of=own.version or answers_version(),
        lease_ttl_s=settings.lease_ttl_s,
        stage_failure_share=settings.stage_failure_share,
        quorum=settings.quorum,
        hedged_share=settings.hedged_share,
    )
