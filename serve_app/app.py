"""The ASGI app as a Serve deployment; ``serve run serve_app.app:app`` starts it on the cluster at hand.

    client ──▶ Serve's proxy ──▶ api (this, any number of replicas) ──▶ Redis ◀── run hosts

Words as in Serve's own examples: ``api`` is the ingress, ``app`` the builder. A replica holds no run: a client's
disconnect cancels its request and everything that was begun inside it, so a request only writes to Redis and nudges.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve._private.constants import SERVE_LOGGER_NAME
from ray.serve.config import AutoscalingConfig, BackpressureConfig
from ray.serve.context import _get_global_client
from ray.serve.schema import LoggingConfig
from starlette.applications import Starlette
from starlette.types import ASGIApp

from flair_ray.config import Settings, known_secrets, load_settings
from flair_ray.errors import ClusterUnavailable, InputError
from flair_ray.telemetry import logs
from flair_ray.wiring import start_hosts
from serve_app.http import build_asgi
from serve_app.studio import Studio, open_front
from serve_app.tenants import check_reach

MAX_ONGOING = 5_000
"""Of one replica; every viewer of a stream is one."""
MAX_QUEUED = 1_000
BACKPRESSURE_RETRY_S = 2
DRAIN_S = 30.0
"""How long a replica that is stopped may let its streams go on; their clients come back to another one."""
CHECK_S = 5.0
YOUNG = 20_000
"""Objects before the collector looks: a request makes some hundreds, nearly all gone by themselves, without a cycle."""
FRESH_S = 1.0
"""A host that has answered within it is not asked for its health again: many ask, and it has work to do."""


class RayRunHosts:
    """The run hosts of this cluster."""

    def __init__(self, actors: list[Any]) -> None:
        self._actors = actors
        self._answered_s = -math.inf

    async def nudge(self) -> None:
        await self._first_answer()

    async def check(self) -> None:
        if monotonic() - self._answered_s < FRESH_S:
            return
        try:
            await asyncio.wait_for(self._first_answer(), CHECK_S)
        except (RayError, TimeoutError) as err:
            raise ClusterUnavailable(f"No run host answers ({type(err).__name__}).") from err

    async def _first_answer(self) -> None:
        """One host that answers is enough. Raises what the last one raised when none does."""
        asked = [asyncio.ensure_future(actor.nudge.remote()) for actor in self._actors]
        error: BaseException | None = None
        for answer in asyncio.as_completed(asked):
            try:
                await answer
            except RayError as err:
                error = err
            else:
                self._answered_s = monotonic()
                return
        if error:
            raise error


def _say_once() -> None:
    """Serve notes each request in its log file, and again on standard error, which costs as much as half a start. Where
    standard error is the container's log, it is what remains."""
    if os.environ.get("RAY_LOG_TO_STDERR") == "1":
        return
    for handler in logging.getLogger(SERVE_LOGGER_NAME).handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.addFilter(lambda record: not getattr(record, "serve_access_log", False))


@asynccontextmanager
async def _open(settings: Settings, redis_url: str) -> AsyncIterator[Studio]:
    hosts = RayRunHosts(await asyncio.to_thread(start_hosts, settings, redis_url))
    async with open_front(settings, redis_url, hosts) as studio:
        gc.collect()
        gc.freeze()  # a full collection would go through all of Ray, and keep every viewer waiting meanwhile
        gc.set_threshold(YOUNG)
        yield studio


class Api:
    """The app, which Serve puts under ``app``, and what Serve asks it."""

    app: Starlette

    async def check_health(self) -> None:
        """Raises when Redis or the run hosts do not answer; a replica that cannot reach them is replaced."""
        studio: Studio = self.app.state.studio
        await studio.check()


def build(settings: Settings, redis_url: str, replicas: int = 1, most: int = 4) -> serve.Application:
    """The application; the ASGI app itself is built on each replica."""

    def asgi() -> ASGIApp:  # Serve takes a function without parameters for a builder, and anything else for the app
        logs.set_up(settings.log_level, settings.log_format, known_secrets(settings), numbered=True)
        _say_once()
        return build_asgi(partial(_open, settings, redis_url), settings.cors_origins.split(), on_serve=True)

    ingress = serve.ingress(asgi)(Api)
    deployment = serve.deployment(
        ingress,
        name="api",
        max_ongoing_requests=MAX_ONGOING,
        max_queued_requests=MAX_QUEUED,
        autoscaling_config=AutoscalingConfig(
            min_replicas=replicas, max_replicas=max(replicas, most), target_ongoing_requests=MAX_ONGOING // 5
        ),
        backpressure_config=BackpressureConfig(status_code=429, retry_after_s=BACKPRESSURE_RETRY_S),
        max_surge_percent=100,
        health_check_timeout_s=2 * CHECK_S,
        graceful_shutdown_timeout_s=DRAIN_S,
        ray_actor_options={"num_cpus": 0},
        **({"logging_config": LoggingConfig(encoding="JSON")} if settings.log_format == "json" else {}),
    )
    return deployment.bind()


def app(args: dict[str, Any]) -> serve.Application:
    """For ``serve run`` and ``serve deploy``; ``replicas`` is the least number of them."""
    settings = load_settings()
    if not settings.redis_url:
        raise InputError("Every node needs the same Redis: set FLAIR_REDIS_URL. On one machine, use `flair serve`.")
    check_reach(settings, _serves_at())
    return build(settings, settings.redis_url.get_secret_value(), int(args.get("replicas", 1)))


def _serves_at() -> str:
    """The address that Serve listens on; empty where it does not run yet."""
    client = _get_global_client(raise_if_no_controller_running=False) if ray.is_initialized() else None
    return client.http_config.host or "" if client else ""
