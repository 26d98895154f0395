"""What every request needs, opened once per process, and the few things that take more than one call."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from starlette.requests import Request

from flair_ray.api import make_order
from flair_ray.config import OFFLINE, Settings
from flair_ray.domain.ids import RunId, new_run_id
from flair_ray.engine.order import Order, first_event, prepare
from flair_ray.errors import FlairError, RunConflict
from flair_ray.options import RunOptions
from flair_ray.ports import RunStore
from flair_ray.stores.front import RedisFront
from flair_ray.stores.redis_store import RedisRunStore, connect, listener
from flair_ray.wiring import DEFAULT_MODELS, LOCAL, choose_model
from serve_app.feed import Feed
from serve_app.models import StartBody
from serve_app.streams import HEARTBEAT_S, Streams

log = logging.getLogger(__name__)

NUDGE_S = 0.5
"""A host that is not nudged looks by itself within a second."""
CANCEL_LOOK_S = 0.1


class RunHosts(Protocol):
    """Those who drive what is handed in."""

    async def nudge(self) -> None:
        """There may be something to adopt."""
        ...

    async def check(self) -> None:
        """Raises ClusterUnavailable when none of them lives."""
        ...


@dataclass(frozen=True, slots=True)
class Studio:
    settings: Settings
    store: RunStore
    front: RedisFront
    streams: Streams
    hosts: RunHosts

    async def order(self, body: StartBody, session_id: str, *, keyless: bool = False) -> Order:
        """What is asked for, read and checked. Raises InputError and MissingKey."""
        videos = await self.front.videos(body.video_set_id) if body.video_set_id else None
        options = RunOptions(
            videos=videos,
            profile=body.creator_profile.to_domain(),
            provider=body.reasoning_model,
            num_videos=body.num_videos,
            num_scripts=body.num_scripts,
            num_personas=body.num_personas,
            top_n=body.top_n,
            seed=body.seed,
            max_usd=body.max_usd,
        )
        _, order = make_order(options, self.settings, keyless=keyless)
        return replace(order, session_id=session_id, remarks=(*order.remarks, *body.remarks()))

    async def start(self, body: StartBody, session_id: str, idempotency_key: str | None) -> RunId:
        """One atomic write and a nudge. With a key, equal starts make one run, whoever died in between."""
        order = await self.order(body, session_id)
        spec, inputs = prepare(order, self.settings)
        run_id = new_run_id()
        if idempotency_key:
            run_id = await self.front.claim_start(session_id, idempotency_key, run_id, body.model_dump_json())
        try:
            await self.store.create(run_id, spec, inputs, first_event(run_id, spec), hosted=True)
        except RunConflict:
            return run_id  # ours already, under the same key
        await self.nudge()
        return run_id

    async def nudge(self) -> None:
        """Have a run seen at once. It is on record: whatever happens to the nudge, it will be driven."""
        try:
            await asyncio.wait_for(self.hosts.nudge(), NUDGE_S)
        except Exception as err:
            log.warning("no host was nudged", extra={"error": type(err).__name__})

    async def delete(self, run_id: RunId) -> None:
        """Cancel a run, let its driver stop, then forget it. A dead driver is waited for no longer than its lease."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.lease_ttl_s + 1):
                while not (await self.store.snapshot(run_id)).status.terminal:
                    with contextlib.suppress(RunConflict):
                        await self.store.request_cancel(run_id)
                    await asyncio.sleep(CANCEL_LOOK_S)
        await self.store.delete(run_id)


@asynccontextmanager
async def open_front(
    settings: Settings, redis_url: str, hosts: RunHosts, heartbeat_s: float = HEARTBEAT_S
) -> AsyncIterator[Studio]:
    """The connections of one process."""
    redis = connect(redis_url)
    store = RedisRunStore(redis, settings.run_ttl_s)
    feed = Feed(listener(redis_url))
    try:
        yield Studio(settings, store, RedisFront(redis, settings.run_ttl_s), Streams(store, feed, heartbeat_s), hosts)
    finally:
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
