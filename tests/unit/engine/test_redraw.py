"""Scripts that failed or came out as near-copies are asked for once more; a run has as many as it has answers for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace

import pytest

from flair_ray.domain.calls import ChatRequest, Completion
from flair_ray.domain.ids import RunId, StageName
from flair_ray.domain.runs import RunStatus
from flair_ray.domain.scripts import ScriptSlot
from flair_ray.engine.driver import Driver
from flair_ray.engine.order import Order
from flair_ray.engine.results import gather_result
from flair_ray.errors import BadRequest, StoreUnavailable
from flair_ray.ports import Lease
from flair_ray.providers.offline import OfflineProvider
from flair_ray.result import RunResult
from flair_ray.stores.redis_store import RedisRunStore

Submit = Callable[[Order], Awaitable[RunId]]


class Writer(OfflineProvider):
    """Refuses some scripts and answers others with words that somebody said, a hundred at most."""

    def __init__(self, refuses: Collection[str] = (), copies: Collection[str] = (), said: str = "") -> None:
        super().__init__()
        self.asked: Counter[StageName] = Counter()
        self._refuses, self._copies, self._said = refuses, copies, " ".join(said.split()[:100])

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        self.asked[request.stage] += 1
        match request.material:
            case (_, ScriptSlot(script_id=name)) if name in self._refuses:
                raise BadRequest("The provider answered 400.")
            case (_, ScriptSlot(script_id=name)) if name in self._copies:
                answer = await super().complete(request, timeout_s)
                draft = request.answer.model_validate_json(answer.text)
                copied = draft.model_copy(update={"hook": "Listen.", "body": self._said, "payoff": "There."})
                return replace(answer, text=copied.model_dump_json())
        return await super().complete(request, timeout_s)


@pytest.fixture
def drive(store: RedisRunStore, submit: Submit, local_driver: Callable[..., Driver]) -> Callable[..., Awaitable[RunResult]]:  # fmt: skip  # noqa: E501
    async def done(order: Order, writer: Writer) -> RunResult:
        run_id = await submit(order)
        await local_driver(writer).drive(run_id)
        return await gather_result(store, run_id)

    return done


Drive = Callable[..., Awaitable[RunResult]]


def written(result: RunResult) -> list[str]:
    return [script.script_id for script in result.scripts]


async def test_a_run_in_which_nothing_goes_wrong_asks_for_nothing_more(drive: Drive, small_order: Order) -> None:
    writer = Writer()
    result = await drive(small_order, writer)
    assert (writer.asked[StageName.S3], written(result)) == (6, ["S01", "S02", "S03", "S04", "S05", "S06"])


async def test_a_script_that_failed_is_replaced(drive: Drive, small_order: Order) -> None:
    writer = Writer(refuses={"S02"})
    result = await drive(small_order, writer)
    assert (result.status, writer.asked[StageName.S3]) == (RunStatus.COMPLETED, 7)
    assert written(result) == ["S01", "S03", "S04", "S05", "S06", "S07"]
    counts = result.stages[StageName.S3]
    assert (counts.total, counts.completed, counts.skipped) == (7, 7, 1)
    assert result.skipped[StageName.S3] == {"S02": "The provider answered 400."}


async def test_the_only_script_may_fail_once_and_not_twice(drive: Drive, small_order: Order) -> None:
    one = replace(small_order, num_scripts=1, top_n=1)
    assert written(await drive(one, Writer(refuses={"S01"}))) == ["S02"]
    assert (await drive(one, Writer(refuses={"S01", "S02"}))).status is RunStatus.FAILED


async def test_a_stage_in_which_everything_fails_is_not_asked_again(drive: Drive, small_order: Order) -> None:
    writer = Writer(refuses={f"S{n:02d}" for n in range(1, 20)})
    assert (await drive(small_order, writer)).status is RunStatus.FAILED
    assert writer.asked[StageName.S3] == 6


async def test_a_script_in_somebodys_words_is_written_again(
    store: RedisRunStore, drive: Drive, small_order: Order
) -> None:
    video = small_order.videos[0]
    result = await drive(small_order, Writer(copies={"S03"}, said=video.transcript))
    assert written(result) == ["S01", "S02", "S04", "S05", "S06", "S07"]
    assert f"is said in video {video.video_id}." in result.skipped[StageName.S3]["S03"]  # type: ignore[index]
    assert not result.late_ballots
    told = next(e.data for e in await store.events(result.run_id) if e.name == "s3_complete")
    assert (told["script_count"], list(told["left_out"])) == (6, ["S03"])  # type: ignore[arg-type]
    ballots = {script_id for ballot in result.ballots for script_id in ballot.order}
    assert ballots == set(written(result))


async def test_of_two_that_are_alike_one_is_written_again(drive: Drive, small_order: Order) -> None:
    said = "A sentence that no video has and that two of the scripts say, with these very words, from start to end."
    result = await drive(small_order, Writer(copies={"S02", "S05"}, said=said))
    assert written(result) == ["S01", "S02", "S03", "S04", "S06", "S07"]
    assert result.skipped[StageName.S3] == {"S05": "Nearly the same as S02."}  # type: ignore[comparison-overlap]


async def test_a_copy_that_stays_a_copy_is_used_and_named(drive: Drive, small_order: Order) -> None:
    writer = Writer(copies={"S03", "S07"}, said=small_order.videos[0].transcript)
    result = await drive(small_order, writer)
    assert (writer.asked[StageName.S3], written(result)) == (7, ["S01", "S02", "S03", "S04", "S05", "S06"])
    assert any(note.startswith("Script S03 stays, as no better one came:") for note in result.disclosures)


async def test_a_run_that_is_resumed_asks_for_no_more_than_it_would_have(
    store: RedisRunStore, submit: Submit, local_driver: Callable[..., Driver], small_order: Order
) -> None:
    """The first driver dies in the vote; the second one finds what was replaced, and replaces nothing again."""
    run_id = await submit(small_order)
    writer = Writer(copies={"S03"}, said=small_order.videos[0].transcript)
    fails = Refusing(writer)
    await local_driver(fails).drive(run_id)
    assert (await store.snapshot(run_id)).status is RunStatus.FAILED
    assert await local_driver(writer).drive(run_id) is RunStatus.COMPLETED
    assert writer.asked[StageName.S3] == 7
    assert "S07" in written(await gather_result(store, run_id))


async def test_a_driver_that_dies_before_the_freeze_leaves_what_it_replaced(
    store: RedisRunStore, submit: Submit, local_driver: Callable[..., Driver], small_order: Order,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    run_id = await submit(small_order)
    writer = Writer(copies={"S03"}, refuses={"S05"}, said=small_order.videos[0].transcript)
    complete = store.complete_stage

    async def dies(lease: Lease, stage: StageName, *args: object) -> object:
        if stage is StageName.S3:
            raise StoreUnavailable("gone")
        return await complete(lease, stage, *args)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(store, "complete_stage", dies)
        with pytest.raises(StoreUnavailable):
            await local_driver(writer).drive(run_id)
    assert (await store.snapshot(run_id)).status is RunStatus.RUNNING
    assert await local_driver(writer).drive(run_id) is RunStatus.COMPLETED
    assert writer.asked[StageName.S3] == 7  # a quarter of six is one: S03 is drawn again, S05 is not
    result = await gather_result(store, run_id)
    assert written(result) == ["S01", "S02", "S03", "S04", "S06", "S07"]
    assert any(note.startswith("Script S03 stays") for note in result.disclosures)
    assert result.stages[StageName.S3].total == 7


class Refusing(OfflineProvider):
    """Another provider, until it comes to the vote."""

    def __init__(self, inner: OfflineProvider) -> None:
        super().__init__()
        self._inner = inner

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        if request.stage is StageName.S4:
            raise BadRequest("The provider answered 400.")
        return await self._inner.complete(request, timeout_s)
