"""Scripts are posted, people watch, and the creator's next run is told: S3 what did well, S4 how the panel judged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from flair_ray.config import Settings
from flair_ray.domain.calls import ChatRequest, Completion
from flair_ray.domain.ids import RunId, StageName
from flair_ray.domain.posts import Post
from flair_ray.engine.driver import Driver
from flair_ray.engine.learning import with_lessons
from flair_ray.engine.order import Order
from flair_ray.ports import Records
from flair_ray.providers.offline import OfflineProvider
from flair_ray.wiring import open_archive
from tests.posting import posts

Prompts = dict[StageName, list[tuple[str, str, str]]]


class Overheard(OfflineProvider):
    """The offline provider; what it was asked is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.prompts: Prompts = {}

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        self.prompts.setdefault(request.stage, []).append((request.system, request.shared, request.varying))
        return await super().complete(request, timeout_s)


@pytest.fixture
def records(settings: Settings) -> Records:
    """Those of a data directory."""
    return open_archive(settings).records


@pytest.fixture
def prompts_of(
    submit: Callable[[Order], Awaitable[RunId]], local_driver: Callable[..., Driver]
) -> Callable[[Order], Awaitable[Prompts]]:
    """Everything that a run of this order asks, by stage."""

    async def carried_out(order: Order) -> Prompts:
        overheard = Overheard()
        await local_driver(overheard).drive(await submit(order))
        return {stage: sorted(asked) for stage, asked in overheard.prompts.items()}

    return carried_out


async def test_the_next_run_of_this_creator_is_told(
    prompts_of: Callable[[Order], Awaitable[Prompts]], small_order: Order, records: Records
) -> None:
    order = replace(small_order, session_id="ada")
    before = await prompts_of(order)
    for post in posts(12):
        await records.keep_post(post)
    told = await with_lessons(order, records)
    after = await prompts_of(told)

    for _, shared, _ in after[StageName.S3]:
        assert shared.endswith("\n\n" + told.feedback.s3)
    assert "question hook" in told.feedback.s3
    assert "4 scripts" in told.feedback.s3
    for _, shared, _ in after[StageName.S4]:
        assert shared.startswith(told.feedback.s4 + "\n\n")
    assert "first in 100% of cases (61% to 100%, 12 scripts" in " ".join(told.feedback.s4.split())

    texts = ("\n\n" + told.feedback.s3, told.feedback.s4 + "\n\n")
    without = {
        stage: [
            (system, shared.replace(texts[0], "").replace(texts[1], ""), varying) for system, shared, varying in asked
        ]
        for stage, asked in after.items()
    }
    assert without == before  # nothing else has changed, in any stage


@pytest.mark.parametrize("known", [posts(0), posts(9), posts(12, session_id="bob"), posts(12, views=0)])
async def test_where_there_is_nothing_to_tell_every_prompt_is_as_it_was(
    prompts_of: Callable[[Order], Awaitable[Prompts]], small_order: Order, records: Records, known: list[Post]
) -> None:
    order = replace(small_order, session_id="ada")
    for post in known:
        await records.keep_post(post)
    told = await with_lessons(order, records)
    assert told == order
    assert await prompts_of(told) == await prompts_of(order)
