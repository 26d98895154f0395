"""A provider and stages that a caller brings along: used by workers, told apart, and refused where they fit nowhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ray import cloudpickle

from flair_ray.actors.persona_pool import PersonaPool
from flair_ray.config import OWN, Settings
from flair_ray.domain.calls import ChatRequest, Completion
from flair_ray.domain.ids import RunId, StageName
from flair_ray.domain.runs import RunStatus
from flair_ray.domain.work import PollSheet, Voter
from flair_ray.engine.driver import Driver
from flair_ray.engine.local_executor import LocalExecutor
from flair_ray.engine.order import Order
from flair_ray.engine.plan import MAP_STAGES, Own
from flair_ray.engine.results import gather_result
from flair_ray.errors import InputError, RunOutdated
from flair_ray.flow.clock import SystemClock
from flair_ray.providers.offline import OfflineProvider
from flair_ray.result import RunResult
from flair_ray.stages.s4_vote import Vote
from flair_ray.stores.redis_store import RedisRunStore
from flair_ray.wiring import choose_model, driver_settings, with_own
from flair_ray.workbench import worker_tools


class Signed(OfflineProvider):
    """Signs what it writes."""

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        answer = await super().complete(request, timeout_s)
        return replace(answer, text=answer.text.replace('"payoff":"', '"payoff":"Signed. '))


class HooksOnly(Vote):
    """Voters see nothing but the hooks."""

    def request(self, shared: PollSheet, item: Voter) -> ChatRequest:
        hooks = tuple(replace(script, body="", payoff="") for script in shared.scripts)
        return super().request(replace(shared, scripts=hooks), item)


def test_a_provider_goes_by_its_class_name_and_a_name_is_chosen_as_ever() -> None:
    own = Own(provider=Signed())
    assert with_own(own, lambda: choose_model("offline")).model.model == "Signed"
    assert with_own(own, lambda: choose_model("offline")).model.provider == OWN
    assert with_own(Own(), lambda: choose_model("offline")) == choose_model("offline")
    with pytest.raises(InputError, match="no provider 'own'"):
        choose_model(OWN)


def test_a_stage_that_takes_no_place_is_refused() -> None:
    stranger = cast("Any", SimpleNamespace(name=StageName.S5))
    with pytest.raises(InputError, match="S5_REDUCE"):
        with_own(Own(stages=(stranger,)), lambda: choose_model("offline"))
    assert Own().all_stages() is MAP_STAGES
    assert isinstance(Own(stages=(HooksOnly(),)).all_stages()[StageName.S4], HooksOnly)


async def test_both_travel_to_a_worker_and_are_used(
    store: RedisRunStore,
    redis_url: str,
    settings: Settings,
    panel: PersonaPool,
    small_order: Order,
    submit: Callable[[Order], Awaitable[RunId]],
) -> None:
    async def driven(run_id: RunId, own: Own) -> RunResult:
        tools = await worker_tools(settings, redis_url, {}, own)
        driver = Driver(store, LocalExecutor(tools), driver_settings(settings, own), SystemClock(), panel)
        try:
            assert await driver.drive(run_id) is RunStatus.COMPLETED
        finally:
            await tools.close()
        return await gather_result(store, run_id)

    own: Own = cloudpickle.loads(cloudpickle.dumps(Own(Signed(), (HooksOnly(),))))
    ours = await submit(replace(small_order, model=with_own(own, choose_model).model, version=own.version))
    with pytest.raises(RunOutdated):  # under the studio's own prompts: answers must not mix
        await driven(ours, Own())
    before, after = await driven(await submit(small_order), Own()), await driven(ours, own)
    assert {script.payoff.startswith("Signed. ") for script in after.scripts} == {True}
    assert [ballot.top for ballot in before.ballots] != [ballot.top for ballot in after.ballots]
