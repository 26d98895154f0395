"""What every request needs, opened once per process, and the few things that take more than one call."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request

from flair_ray.api import make_order
from flair_ray.config import OFFLINE, Settings
from flair_ray.domain.events import EventDraft
from flair_ray.domain.ids import RunId, new_run_id
from flair_ray.domain.runs import RunSpec
from flair_ray.domain.tenants import Tenant, read_tenants
from flair_ray.domain.video_jobs import VIDEO_PROVIDERS
from flair_ray.engine.learning import with_lessons
from flair_ray.engine.naming import service_name
from flair_ray.engine.order import Order, first_event
from flair_ray.engine.past import AllRuns
from flair_ray.engine.ray_personas import PersonasIn, open_panel
from flair_ray.errors import FlairError, RunConflict, RunNotFound
from flair_ray.options import RunOptions
from flair_ray.ports import Panel, RunStore
from flair_ray.stores.front import RedisFront
from flair_ray.stores.redis_store import RedisRunStore, connect, listener
from flair_ray.stores.tenants import RedisTenants
from flair_ray.stores.video_jobs import RedisVideoJobs
from flair_ray.wiring import DEFAULT_MODELS, LOCAL, choose_model, open_archive, usable_videos
from serve_app.feed import Feed
from serve_app.models import StartBody
from serve_app.request_ids import request_id
from serve_app.spending import Spending, prepare_for
from serve_app.streams import HEARTBEAT_S, Streams

log = logging.getLogger(__name__)

NUDGE_S = 0.5
"""A host that is not nudged looks by itself within a second."""
NUDGE_EVERY_S = 0.05
"""Many starts are one nudge: it costs more than all else of a start, here and in the hosts."""
CANCEL_LOOK_S = 0.1
FULL_RETRY_S = 10


class RunHosts(Protocol):
    """Those who drive what is handed in."""

    async def nudge(self) -> None:
        """There may be something to adopt."""
        ...

    async def check(self) -> None:
        """Raises ClusterUnavailable when none of them lives."""
        ...


@dataclass(frozen=True, slots=True)
class Usable:
    """What could write and film when this process began, the default first."""

    reasoning: list[str]
    video: list[str]


@dataclass(frozen=True, slots=True)
class Studio:
    settings: Settings
    store: RunStore
    runs: AllRuns
    """Also those that Redis has forgotten."""
    front: RedisFront
    videos: RedisVideoJobs
    streams: Streams
    hosts: RunHosts
    panel: Panel
    admissions: RedisTenants
    spending: Spending
    news: asyncio.Event
    """There is something to adopt."""
    usable: Usable
    tenants: tuple[Tenant, ...] = ()
    """Those with a token; none: whoever reaches the port may do everything."""

    async def check(self) -> None:
        """Raises StoreUnavailable or ClusterUnavailable, which name the failing part."""
        self.streams.feed.check()
        await self.front.ping()
        await self.hosts.check()

    async def order(self, body: StartBody, tenant: Tenant, session_id: str, *, keyless: bool = False) -> Order:
        """What is asked for, read and checked. Raises InputError and MissingKey."""
        videos = await self.front.videos(body.video_set_id, tenant.prefix) if body.video_set_id else None
        options = RunOptions(
            videos=videos,
            profile=body.creator_profile.to_domain(),
            provider=body.reasoning_model,
            model=body.model,
            voter_model=body.voter_model,
            rigor=body.rigor,
            refine=body.refine,
            num_videos=body.num_videos,
            num_scripts=body.num_scripts,
            num_personas=body.num_personas,
            top_n=body.top_n,
            seed=body.seed,
            max_usd=body.max_usd,
        )
        _, order = make_order(options, self.settings, keyless=keyless)
        video_model = body.video_model if body.video_model in VIDEO_PROVIDERS else None
        remarks = [*order.remarks]
        if body.video_model is not None and body.video_model not in self.usable.video:
            remarks.append(f"video_model {body.video_model!r} cannot be used here as things are.")
        order = replace(order, session_id=session_id, video_model=video_model, remarks=tuple(remarks))
        return await with_lessons(order, self.runs.archive.records)

    async def start(self, body: StartBody, tenant: Tenant, session_id: str, idempotency_key: str | None) -> RunId:
        """One atomic write and a nudge. With a key, equal starts make one run, whoever died in between.

        Raises HTTPException 429 when so many runs wait that one more would not be seen for long.
        """
        if await self.front.handed_in() >= self.settings.max_waiting:
            detail = f"{self.settings.max_waiting:,} runs are under way or wait here. Try again later."
            raise HTTPException(429, detail, {"Retry-After": str(FULL_RETRY_S)})
        order = await self.order(body, tenant, session_id)
        if body.video_set_id:  # as many videos as may be
            spec, inputs = await asyncio.to_thread(prepare_for, tenant, order, self.settings)
        else:
            spec, inputs = prepare_for(tenant, order, self.settings)
        run_id = new_run_id()
        if idempotency_key:
            run_id = await self.front.claim_start(session_id, idempotency_key, run_id, body.model_dump_json())
        await self.spending.reserve(tenant, run_id, spec)
        try:
            await self.store.create(run_id, spec, inputs, _first_event(run_id, spec), hosted=True)
        except RunConflict:
            return run_id  # ours already, under the same key
        self.news.set()
        return run_id

    async def delete(self, run_id: RunId, tenant: Tenant) -> None:
        """Cancel a run, let its driver stop, then forget it. A dead driver is waited for no longer than its lease."""
        with contextlib.suppress(TimeoutError, RunNotFound):
            async with asyncio.timeout(self.settings.lease_ttl_s + 1):
                while not (await self.store.snapshot(run_id)).status.terminal:
                    with contextlib.suppress(RunConflict):
                        await self.store.request_cancel(run_id)
                    await asyncio.sleep(CANCEL_LOOK_S)
        with contextlib.suppress(RunNotFound):
            await self.spending.settle(tenant, await self.store.snapshot(run_id))
        await self.runs.delete(run_id)


async def _nudge(hosts: RunHosts, news: asyncio.Event) -> None:
    """Have runs seen at once, while nobody waits for a busy host. They are on record: they will be driven anyway."""
    while True:
        await news.wait()
        news.clear()
        try:
            await asyncio.wait_for(hosts.nudge(), NUDGE_S)
        except Exception as err:
            log.warning("no host was nudged", extra={"error": type(err).__name__})
        await asyncio.sleep(NUDGE_EVERY_S)


def _first_event(run_id: RunId, spec: RunSpec) -> EventDraft:
    """With the id of the request that made this run."""
    event = first_event(run_id, spec)
    return replace(event, data={**event.data, "request_id": request_id()})


@asynccontextmanager
async def open_front(
    settings: Settings, redis_url: str, hosts: RunHosts, heartbeat_s: float = HEARTBEAT_S
) -> AsyncIterator[Studio]:
    """The connections of one process."""
    redis = connect(redis_url)
    store = RedisRunStore(redis, settings.run_ttl_s)
    runs = AllRuns(store, open_archive(settings))
    front, feed = RedisFront(redis, settings.run_ttl_s), Feed(listener(redis_url))
    personas = PersonasIn(redis_url, settings.run_ttl_s, settings.persona_pools)
    panel = open_panel(personas, service_name(redis_url), redis)
    news = asyncio.Event()
    nudging = asyncio.create_task(_nudge(hosts, news))
    try:
        admissions = RedisTenants(redis)
        yield Studio(
            settings,
            store,
            runs,
            front,
            RedisVideoJobs(redis, settings.run_ttl_s, settings.lease_ttl_s),
            Streams(store, feed, heartbeat_s),
            hosts,
            panel,
            admissions,
            Spending(store, admissions),
            news,
            Usable(await asyncio.to_thread(usable_providers), await asyncio.to_thread(usable_videos)),
            read_tenants(settings.api_tokens.get_secret_value()),
        )
    finally:
        nudging.cancel()
        await runs.archive.close()
        await feed.close()
        await store.close()


def studio_of(request: Request) -> Studio:
    studio: Studio = request.app.state.studio
    return studio


def usable_providers() -> list[str]:
    """The providers a run can use here and now, the one that is used by default first."""
    keyed = [name for name in DEFAULT_MODELS if name not in (LOCAL, OFFLINE) and _is_usable(name)]
    return [*keyed, OFFLINE, *([LOCAL] if _is_usable(LOCAL) else [])]


def _is_usable(provider: str) -> bool:
    try:
        choose_model(provider)
    except FlairError:
        return False
    return True
