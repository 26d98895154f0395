"""A tenant's dollars of a month: reserved as caps, settled as what was spent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from flair_ray.config import Settings
from flair_ray.domain.events import EventDraft, EventName
from flair_ray.domain.ids import RunId
from flair_ray.domain.runs import RunStatus
from flair_ray.domain.tenants import new_token
from flair_ray.stores import keys
from flair_ray.stores.redis_store import RedisRunStore, connect
from tests.serve_app.conftest import BODY, LocalHosts, Serve
from tests.serve_app.reading import watch

PAID = BODY | {"reasoning_model": "openai"}


@pytest.fixture
async def flo(
    serve_api: Serve, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody with ten dollars a month, a provider that costs, and no host that would drive a run."""
    monkeypatch.setenv("OPENAI_API_KEY", "never-sent")
    token, entry = new_token(f"flo-{uuid4().hex[:8]}")
    async with serve_api(settings.model_copy(update={"api_tokens": SecretStr(f"{entry}:max_usd=10")})) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


async def start(client: httpx2.AsyncClient, key: str | None = None, **changes: Any) -> httpx2.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await client.post("/api/pipeline/start", json=PAID | changes, headers=headers)


async def left(client: httpx2.AsyncClient) -> float:
    usd: float = (await client.get("/api/session")).json()["left_usd"]
    return usd


async def test_a_start_that_may_take_more_than_is_left_is_refused(flo: httpx2.AsyncClient) -> None:
    assert await left(flo) == 10
    first = (await start(flo, max_usd=6)).json()["run_id"]
    assert await left(flo) == 4
    refused = await start(flo, max_usd=5)
    assert refused.status_code == 402
    assert "$5.00" in refused.json()["detail"]
    assert "$4.00" in refused.json()["detail"]
    assert len((await flo.get("/api/runs")).json()["runs"]) == 1
    await flo.post(f"/api/pipeline/{first}/cancel")  # it has taken nothing
    assert (await start(flo, max_usd=5)).status_code == 200
    assert await left(flo) == 5


async def test_what_a_run_took_is_what_stays_of_it(flo: httpx2.AsyncClient, redis_url: str) -> None:
    first, second = [(await start(flo, max_usd=4)).json()["run_id"] for _ in range(2)]
    async with connect(redis_url) as redis:
        for run_id in (first, second):
            tally = {"calls": 1, "input_tokens": 1_000_000, "output_tokens": 0, "answered": 1}
            await redis.hset(f"{keys.run(run_id)}:tally:S1_MAP", mapping=tally)
        await redis.connection_pool.aclose()
    cost = (await flo.get(f"/api/runs/{first}")).json()["spend"]["cost"]["usd"]
    assert cost > 0
    await flo.post(f"/api/pipeline/{first}/cancel")
    assert await left(flo) == pytest.approx(10 - 4 - cost)
    assert (await flo.delete(f"/api/runs/{second}")).status_code == 204
    assert await left(flo) == pytest.approx(10 - 2 * cost)


async def test_a_run_without_a_cap_gets_one_and_says_so(flo: httpx2.AsyncClient) -> None:
    answer = await start(flo)
    run = (await flo.get(f"/api/runs/{answer.json()['run_id']}")).json()
    cap = run["configuration"]["max_usd"]
    assert 0 < cap < 10
    assert await left(flo) == pytest.approx(10 - cap)
    assert "has a budget" in " ".join(run["warnings"])


async def test_a_model_whose_price_nobody_knows_is_no_way_around_a_budget(flo: httpx2.AsyncClient) -> None:
    refused = await start(flo, model="no-such-model")
    assert refused.status_code == 422
    assert "no-such-model" in refused.json()["detail"]
    assert await left(flo) == 10


async def test_a_start_that_is_repeated_is_paid_for_once(flo: httpx2.AsyncClient) -> None:
    answers = [await start(flo, key="once", max_usd=10) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert (await start(flo, max_usd=1)).status_code == 402


async def test_a_start_that_is_repeated_after_its_run_was_deleted_makes_none(flo: httpx2.AsyncClient) -> None:
    run_id = (await start(flo, key="twice", max_usd=4)).json()["run_id"]
    assert (await flo.delete(f"/api/runs/{run_id}")).status_code == 204
    assert (await start(flo, key="twice", max_usd=4)).json()["run_id"] == run_id
    assert (await flo.get(f"/api/runs/{run_id}")).status_code == 404


async def test_going_on_needs_room_again(flo: httpx2.AsyncClient) -> None:
    first = (await start(flo, max_usd=8)).json()["run_id"]
    await flo.post(f"/api/pipeline/{first}/cancel")
    second = (await start(flo, max_usd=8)).json()["run_id"]
    assert (await flo.post(f"/api/pipeline/{first}/recover")).status_code == 402
    await flo.delete(f"/api/runs/{second}")
    assert (await flo.post(f"/api/pipeline/{first}/recover")).status_code == 202
    assert await left(flo) == 2


async def test_whoever_looks_while_a_run_goes_on_again_gives_its_room_to_nobody(
    flo: httpx2.AsyncClient, store: RedisRunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end is still on record when the room is taken, and may have been read before."""
    run_id = RunId((await start(flo, max_usd=8)).json()["run_id"])
    await flo.post(f"/api/pipeline/{run_id}/cancel")
    host = RedisRunStore.host

    async def looked_at_before(store: RedisRunStore, run_id: RunId, request_id: str) -> None:
        assert await left(flo) == 2
        await host(store, run_id, request_id)

    monkeypatch.setattr(RedisRunStore, "host", looked_at_before)
    assert (await flo.post(f"/api/pipeline/{run_id}/recover")).status_code == 202
    assert (await start(flo, max_usd=8)).status_code == 402
    lease = await store.acquire(run_id, 60)
    await store.finish(lease, RunStatus.FAILED, EventDraft(EventName.PIPELINE_ERROR, {}))
    assert await left(flo) == 10  # it has ended once more, and taken nothing


async def test_what_is_complete_is_said_to_be_so_where_there_is_no_room(flo: httpx2.AsyncClient, redis: Redis) -> None:
    first = (await start(flo, max_usd=8)).json()["run_id"]
    await redis.hset(keys.run(first), "status", "completed")
    assert (await start(flo, max_usd=10)).status_code == 200
    refused = await flo.post(f"/api/pipeline/{first}/recover")
    assert (refused.status_code, "completed" in refused.json()["detail"]) == (409, True)


async def test_what_costs_nothing_needs_no_room(flo: httpx2.AsyncClient) -> None:
    await start(flo, max_usd=10)
    assert (await start(flo, reasoning_model="offline")).status_code == 200
    assert await left(flo) == 0


async def test_a_film_counts_once_and_not_when_it_is_drawn_here(
    flo: httpx2.AsyncClient, hosts: LocalHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAIR_VEO_PROJECT", "mine")
    run_id = (await start(flo, reasoning_model="offline")).json()["run_id"]
    hosts.wake()
    await watch(flo, run_id)
    await hosts.end()
    scripts = [row["script_id"] for row in (await flo.get(f"/api/pipeline/results/{run_id}")).json()["results"]]

    async def order(script_id: str, by: str) -> int:
        body = {"run_id": run_id, "script_id": script_id, "video_model": by}
        return (await flo.post("/api/video/generate", json=body)).status_code

    assert [await order(scripts[0], by) for by in ("veo", "veo", "animatic")] == [200, 200, 200]
    assert await left(flo) == pytest.approx(10 - 3.2)
    await start(flo, max_usd=6)
    assert (await order(scripts[1], "veo"), await order(scripts[1], "animatic")) == (402, 200)
    assert await left(flo) == pytest.approx(0.8)
