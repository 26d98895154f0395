"""A tenant's budget: what all of its runs of a month may cost.

A run's cap is reserved before the run exists and replaced by what the run took once it has ended, which is looked at
whenever somebody asks how much is left: no run has to tell. A run that is gone before anybody looked counts as its cap.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, replace

from starlette.exceptions import HTTPException

from flair_ray.config import Settings
from flair_ray.domain.ids import RunId, ScriptId
from flair_ray.domain.money import MICROS, dollars
from flair_ray.domain.runs import RunInputs, RunSnapshot, RunSpec
from flair_ray.domain.tenants import Tenant
from flair_ray.engine.estimate import estimate
from flair_ray.engine.order import Order, prepare
from flair_ray.engine.results import cost_of
from flair_ray.errors import RunNotFound
from flair_ray.ports import RunStore
from flair_ray.stores.tenants import RedisTenants


@dataclass(frozen=True, slots=True)
class Spending:
    """Does nothing for a tenant without a budget."""

    store: RunStore
    books: RedisTenants

    async def reserve(self, tenant: Tenant, run_id: RunId, spec: RunSpec, *, again: bool = False) -> None:
        """Room for the cap of this run. Raises HTTPException 402 when there is none."""
        if tenant.max_usd is None or spec.money.free:
            return
        if spec.money.max_usd is None:
            raise HTTPException(402, "This run has no cap, so no budget has room for it: start another one.")
        left = await self.left_usd(tenant)
        most = math.floor(tenant.max_usd * MICROS)
        cap = math.ceil(spec.money.max_usd * MICROS)
        if not await self.books.reserve(tenant.name, run_id, cap, most, again=again):
            raise HTTPException(
                402,
                f"This run may take {dollars(spec.money.max_usd)}, and of this month's {dollars(tenant.max_usd)} there "
                f"are {dollars(left)} left. Ask for less, or give a lower max_usd.",
            )

    async def book_video(self, tenant: Tenant, run_id: RunId, script_id: ScriptId, usd: float) -> None:
        """A script's video at its price, once: what failed is asked for again for nothing. Raises HTTPException 402."""
        if tenant.max_usd is None:
            return
        left = await self.left_usd(tenant)
        entry, micros = RunId(f"{run_id}:{script_id}"), math.ceil(usd * MICROS)
        if not await self.books.reserve(tenant.name, entry, micros, math.floor(tenant.max_usd * MICROS)):
            raise HTTPException(
                402, f"A video of veo counts as {dollars(usd)}, and {dollars(left)} are left this month."
            )
        await self.books.settle(tenant.name, entry, micros)

    async def left_usd(self, tenant: Tenant) -> float | None:
        """Of this month's budget; None: there is no limit."""
        if tenant.max_usd is None:
            return None
        for run_id in await self.books.unsettled(tenant.name):
            with suppress(RunNotFound):
                await self.settle(tenant, await self.store.snapshot(run_id))
        return max(0.0, tenant.max_usd - await self.books.spent(tenant.name) / MICROS)

    async def settle(self, tenant: Tenant, snapshot: RunSnapshot) -> None:
        """What a run that has ended may have cost at most stands for it."""
        if tenant.max_usd is not None and snapshot.over:
            cost = cost_of(snapshot)
            micros = math.ceil(((cost.usd or 0) + (cost.unsure_usd or 0)) * MICROS)
            await self.books.settle(tenant.name, snapshot.run_id, micros, snapshot.finished_at_ms)


def prepare_for(tenant: Tenant, order: Order, settings: Settings) -> tuple[RunSpec, RunInputs]:
    """As ``prepare``; under a budget every run that costs has a cap, if need be what it is expected to take at most."""
    spec, inputs = prepare(order, settings)
    if tenant.max_usd is None or order.max_usd is not None or spec.money.free:
        return spec, inputs
    high = estimate(spec, inputs).usd("high")
    cap = tenant.max_usd if high is None else math.ceil(high * 100) / 100
    remark = f"Stops at {dollars(cap)}: this token has a budget, and no max_usd was sent."
    return prepare(replace(order, max_usd=cap, remarks=(*order.remarks, remark)), settings)
