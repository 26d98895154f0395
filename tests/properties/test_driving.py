"""A driver may die at any step, and the next, and the next: the run ends as if nothing had happened.

Death comes in four ways: told to stop (a cancelled task, which cleans up), or gone between one write to the
store and the next, just before one, or just after one whose reply it never saw.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flair_ray.domain.calls import ChatRequest, Completion
from flair_ray.domain.events import Event
from flair_ray.domain.ids import SIX, RunId, StageName
from flair_ray.domain.people import Persona
from flair_ray.domain.runs import RunStatus
from flair_ray.domain.videos import Video
from flair_ray.domain.work import Voter
from flair_ray.engine.driver import Driver
from flair_ray.engine.local_executor import LocalExecutor
from flair_ray.engine.order import Order
from flair_ray.engine.results import gather_result
from flair_ray.engine.shard import Tools
from flair_ray.errors import BadRequest, StoreUnavailable
from flair_ray.flow.clock import SystemClock
from flair_ray.providers.offline import OfflineProvider
from flair_ray.result import RunResult
from flair_ray.stores import keys
from flair_ray.stores.redis_store import RedisRunStore

Submit = Callable[[Order], Awaitable[RunId]]
PROGRESS = {"s1_progress", "s1_video_skipped", "s3_progress", "vote_cast", "s6_progress", "item_skipped"}
STARTS = {"s1_task_started", "s3_task_started", "s4_task_started", "s6_task_started"}
Death = tuple[int, str]
"""At which use of the store, and how."""

deaths = st.lists(st.tuples(st.integers(1, 90), st.sampled_from(["told", "before", "after"])), max_size=4)
refused = st.tuples(st.sets(st.integers(0, 5), max_size=2), st.sets(st.integers(0, 4), max_size=2))


class Picky(OfflineProvider):
    """Refuses some videos and some viewers, always the same."""

    def __init__(self, unwanted: set[str]) -> None:
        super().__init__()
        self._unwanted = unwanted

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        match request.material:
            case (_, Video(video_id=name)) | (_, Voter(persona=Persona(persona_id=name))) if name in self._unwanted:
                raise BadRequest("The provider answered 400.")
        await asyncio.sleep(0)
        return await super().complete(request, timeout_s)


class Mortal:
    """A store as its user sees it, who dies at the n-th use; from then on nothing of theirs gets through."""

    def __init__(self, store: RedisRunStore, death: Death | None) -> None:
        self._store = store
        self._at, self._how = death or (0, "")
        self._uses = 0
        self._dead = False
        self.victim: asyncio.Task[RunStatus] | None = None

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def use(*args: Any, **kwargs: Any) -> Any:
            self._uses += 1
            mine = self._uses == self._at
            if mine and self._how == "told" and self.victim:
                self.victim.cancel()
            self._dead = self._dead or (mine and self._how == "before")
            if self._dead:
                raise StoreUnavailable("dead")
            result = await getattr(self._store, name)(*args, **kwargs)
            self._dead = self._dead or (mine and self._how == "after")
            if self._dead:
                raise StoreUnavailable("dead")
            return result

        return use


def check_log(events: list[Event], result: RunResult) -> None:
    names = Counter(e.name for e in events)
    assert events[0].name == "pipeline_started"
    assert events[-1].name == "pipeline_complete"
    assert names["pipeline_started"] == names["pipeline_complete"] == 1
    assert names["stage_started"] == names["stage_completed"] == len(SIX)
    told = Counter(_item(e) for e in events if e.name in PROGRESS)
    assert set(told.values()) == {1}
    assert max(Counter((e.name, _item(e)[1]) for e in events if e.name in STARTS).values()) == 1
    completed: dict[str, list[object]] = {}
    for event in events:
        if event.name in PROGRESS:
            completed.setdefault(_item(event)[0], []).append(event.data["completed"])
    for stage, counts in completed.items():
        assert counts == list(range(1, result.stages[StageName(stage)].total + 1))


STAGE_OF = {"s1": "S1_MAP", "s3": "S3_SEQUENTIAL", "vote": "S4_MAP", "s4": "S4_MAP", "s6": "S6_PERSONALIZE"}


def _item(event: Event) -> tuple[str, object]:
    """Stage and item of an event about one item."""
    data = event.data
    stage = data.get("stage") or STAGE_OF[event.name.split("_", 1)[0]]
    return str(stage), data.get("item_id") or data.get("video_id") or data.get("script_id") or data.get("persona_id")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deaths, refused)
async def test_a_run_ends_the_same_however_often_its_driver_dies(
    store: RedisRunStore,
    submit: Submit,
    local_tools: Callable[..., Tools],
    make_driver: Callable[..., Driver],
    small_order: Order,
    deaths: list[Death],
    refused: tuple[set[int], set[int]],
) -> None:
    order = replace(
        small_order, personas=small_order.personas[:5], num_videos=6, num_scripts=4, num_personas=5, top_n=2
    )
    unwanted = {order.videos[n].video_id for n in refused[0]} | {order.personas[n].persona_id for n in refused[1]}
    tools = local_tools(Picky({str(name) for name in unwanted}))
    rules = make_driver(LocalExecutor(tools))._settings

    async def drive(run_id: RunId, death: Death | None) -> RunStatus | None:
        mortal = Mortal(store, death)
        executor = LocalExecutor(replace(tools, store=mortal))  # type: ignore[arg-type]  # it passes everything on
        driver = Driver(mortal, executor, rules, SystemClock(), tools.panel)  # type: ignore[arg-type]
        mortal.victim = asyncio.create_task(driver.drive(run_id))
        await asyncio.wait({mortal.victim})
        await store._redis.delete(keys.lease(run_id))  # as if its time were over
        if mortal.victim.cancelled() or isinstance(mortal.victim.exception(), StoreUnavailable):
            return None
        return mortal.victim.result()

    whole, broken = await submit(order), await submit(order)
    assert await drive(whole, None) is RunStatus.COMPLETED
    for death in deaths:
        assert await drive(broken, death) in (None, RunStatus.COMPLETED)
    assert await drive(broken, None) is RunStatus.COMPLETED
    expected, got = await gather_result(store, whole), await gather_result(store, broken)
    for field in ("patterns", "library", "scripts", "ballots", "ranking", "results", "skipped"):
        assert getattr(got, field) == getattr(expected, field), field
    check_log(await store.events(whole), expected)
    check_log(await store.events(broken), got)
