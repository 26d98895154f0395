"""Everything at once on this machine: Redis, Ray with its dashboard, the run hosts, Serve. `flair serve` is this.

An embedded Redis is fine here although runs outlive requests: it lives as long as this process, and what ends with this
process, hosts and workers, is all that uses it. Its file stays, so runs go on when the command is started again.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import ray
from ray import serve

from flair_ray.config import Settings
from flair_ray.engine.ray_executor import connect_ray, end_residents
from flair_ray.wiring import open_store
from serve_app.app import build
from serve_app.haproxy import haproxy, wait_settled
from serve_app.tenants import check_reach

APP = "flair"


@dataclass(frozen=True, slots=True)
class Served:
    """Where it is."""

    url: str
    dashboard_url: str
    redis: str


@asynccontextmanager
async def serving(settings: Settings, host: str, port: int) -> AsyncIterator[Served]:
    """The studio, answering; ends with the context. Raises InputError, StoreUnavailable and ClusterUnavailable."""
    check_reach(settings, host)
    async with AsyncExitStack() as stack:
        stats_port = stack.enter_context(haproxy())
        opened = await stack.enter_async_context(open_store(settings))
        try:
            dashboard = await asyncio.to_thread(_start, settings, opened.url, host, port)
            if stats_port is not None:
                await asyncio.to_thread(wait_settled, stats_port)
            where = "embedded, in the data directory" if opened.embedded else "FLAIR_REDIS_URL"
            yield Served(f"http://{host}:{port}", dashboard, where)
        finally:
            _stop()  # in this thread: a handle that is collected in one while another shuts Ray down ends the process


def _start(settings: Settings, redis_url: str, host: str, port: int) -> str:
    os.environ.setdefault("RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD", "0")  # nothing in it blocks its loop
    connect_ray(None, dashboard=True)
    serve.start(http_options={"host": host, "port": port})
    serve.run(build(settings, redis_url), name=APP, route_prefix="/")
    return f"http://{ray._private.worker.global_worker.node.webui_url}"


def _stop() -> None:
    if not ray.is_initialized():
        return
    with suppress(Exception):  # whatever is left ends with Ray
        serve.shutdown()
        end_residents()
    gc.collect()
    ray.shutdown()
