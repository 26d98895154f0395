"""One run under test: who drives it, on which Ray, with which leases, and how it is set up to be killed.

The product's leases (10 to 15 s) are right for a cluster and long for a test. Here everything that waits for the dead
waits ``LEASE_S``: the driver's lease, a worker's claims, the permits of its calls. Nothing else differs: the workers'
tools, the limiter, the executor and the driver are those of the product. Every run has an account of its own with
``IN_FLIGHT`` calls at once, so that a stage takes several waves and a kill costs at most one of them. No hedges, no
quorum, no cache: every call that is counted was needed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import partial
from uuid import uuid4

from ray import cloudpickle

from flair_ray.actors.run_host import RunHost
from flair_ray.config import Settings
from flair_ray.data import sample_personas, sample_profiles, sample_videos
from flair_ray.domain.ids import RunId, StageName, new_run_id
from flair_ray.domain.runs import Limits, ModelChoice
from flair_ray.engine.driver import Driver
from flair_ray.engine.order import Order, first_event, prepare
from flair_ray.engine.ray_executor import RayExecutor
from flair_ray.engine.ray_limiter import LIMITER_GONE, RedisAccounts, limiter_exchange
from flair_ray.engine.ray_personas import PersonasIn, RayPanel
from flair_ray.engine.ray_worker import ToolKit
from flair_ray.engine.shard import Tools
from flair_ray.flow.clock import SystemClock
from flair_ray.flow.permits import PermitDesk
from flair_ray.stores.ears import Ears
from flair_ray.stores.flights import RedisFlights
from flair_ray.stores.redis_store import RedisRunStore, connect, listener
from flair_ray.wiring import driver_settings
from flair_ray.workbench import worker_tools

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers need not find the tests

LEASE_S = 2.0
"""Short, and still three renewals on a machine that is busy."""
IN_FLIGHT = 4
RUN_TTL_S = 900
VERSION = f"chaos-{uuid4().hex[:8]}"
"""In the names of this test session's actors."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Items of the map stages."""

    videos: int
    scripts: int
    personas: int
    top_n: int

    def of(self, stage: StageName) -> int:
        return self.by_stage[stage]

    @property
    def by_stage(self) -> dict[StageName, int]:
        counts = (self.videos, self.scripts, self.personas, self.top_n)
        return dict(zip(MAPS, counts, strict=True))

    @property
    def total(self) -> int:
        return sum(self.by_stage.values())


MAPS = (StageName.S1, StageName.S3, StageName.S4, StageName.S6)
BY_TASKS = Sizes(24, 9, 20, 8)
"""Every stage is large enough for tasks of its own."""
BY_RESIDENTS = Sizes(6, 4, 7, 4)
"""Every stage is small enough to ride a resident actor."""


@dataclass(frozen=True, slots=True)
class Rig:
    """A run's surroundings."""

    redis_url: str
    version: str = VERSION

    def store(self) -> RedisRunStore:
        return RedisRunStore(connect(self.redis_url), RUN_TTL_S)

    def driver(self, store: RedisRunStore, account: str) -> Driver:
        kit = ToolKit(f"chaos-{account}", partial(short_leased_tools, self.redis_url, account, self.version))
        panel = panel_of(self.redis_url, self.version)
        panel.start()  # there to be killed before it is needed
        return Driver(store, RayExecutor(kit, self.version), driver_settings(settings()), SystemClock(), panel)

    async def host(self) -> RunHost:
        """What a run host's actor builds; all its runs are billed to one account."""
        store = self.store()
        return RunHost(store, self.driver(store, f"hosts-{self.version}"), SystemClock())

    async def submit(self, store: RedisRunStore, base_url: str, sizes: Sizes, *, hosted: bool = False) -> RunId:
        """A run that nobody drives yet."""
        run_id = new_run_id()
        spec, inputs = prepare(order(base_url, sizes), settings())
        await store.create(run_id, spec, inputs, first_event(run_id, spec), hosted=hosted)
        return run_id


def settings() -> Settings:
    return Settings(redis_url=None, run_ttl_s=RUN_TTL_S, lease_ttl_s=LEASE_S, quorum=1.0, hedged_share=0.0)


def order(base_url: str, sizes: Sizes) -> Order:
    return Order(
        profile=sample_profiles()[0].profile,
        videos=sample_videos(),
        personas=sample_personas(),
        model=ModelChoice("openai", "mock", base_url),
        num_videos=sizes.videos,
        num_scripts=sizes.scripts,
        num_personas=sizes.personas,
        top_n=sizes.top_n,
        cache=False,
        limits=Limits(max_in_flight=IN_FLIGHT),
    )


async def short_leased_tools(redis_url: str, account: str, version: str) -> Tools:
    """The tools of the product, with leases that end soon."""
    tools = await worker_tools(settings(), redis_url, {})
    way = limiter_exchange(RedisAccounts(redis_url, LEASE_S), version, account, Limits(max_in_flight=IN_FLIGHT))
    desk = PermitDesk(way, LIMITER_GONE, LEASE_S, SystemClock())
    flights = RedisFlights(connect(redis_url), Ears(listener(redis_url)), LEASE_S)
    return replace(
        tools,
        flights=flights,
        limiter_for=lambda job: desk.limiter(job.run_id, job.session_id),
        panel=panel_of(redis_url, version),
    )


def panel_of(redis_url: str, version: str) -> RayPanel:
    return RayPanel(PersonasIn(redis_url, RUN_TTL_S, 2), version)
