"""Results come back over HTTP: reported, checked, counted, and told to the creator's next run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from flair_ray.config import Settings
from flair_ray.domain.ids import RunId
from flair_ray.domain.personas import persona_key
from flair_ray.engine.archive import Archive
from flair_ray.engine.results import gather_result
from flair_ray.stores.personas import RedisPersonas
from flair_ray.stores.redis_store import RedisRunStore, connect
from flair_ray.wiring import open_archive
from tests.serve_app.conftest import LocalHosts
from tests.serve_app.reading import watch
from tests.serve_app.test_contract import NO_RUN, Started

NUMBERS = {"views": 1_000, "likes": 50, "comments": 5, "shares": 2}


@pytest.fixture
async def archive(settings: Settings) -> AsyncIterator[Archive]:
    """What the API keeps, seen from outside."""
    opened = open_archive(settings)
    yield opened
    await opened.close()


@pytest.fixture
async def done(api: httpx2.AsyncClient, started: Started) -> str:
    """A completed run of six scripts in the session "ada"."""
    run_id = await started(api, session="ada")
    await watch(api, run_id)
    return run_id


def body(run_id: str, script_id: str = "S01", **changes: Any) -> dict[str, Any]:
    ids = {"run_id": run_id, "script_id": script_id}
    return {**ids, "platform": "tiktok", "post_url": f"https://example.org/{script_id}", **NUMBERS, **changes}


async def test_a_post_is_kept_and_replaced(api: httpx2.AsyncClient, done: str) -> None:
    first = await api.post("/api/performance", json=body(done, watch_time_avg=7.5, completion_rate=0.4))
    assert (first.status_code, first.json()) == (200, {"status": "ok"})
    shown = (await api.get(f"/api/performance/{done}")).json()
    (row,) = shown["performances"]
    assert shown["run_id"] == done
    assert body(done, watch_time_avg=7.5, completion_rate=0.4).items() <= row.items()
    assert row["posted_at"].startswith("20")
    assert 1 <= row["rank"] <= 6
    assert "session_id" not in row

    again = body(done, platform=" TikTok ", views=9_000)
    for _ in range(2):
        assert (await api.post("/api/performance", json=again)).status_code == 200
    (replaced,) = (await api.get(f"/api/performance/{done}")).json()["performances"]
    assert (replaced["views"], replaced["completion_rate"]) == (9_000, None)
    assert replaced["posted_at"] == row["posted_at"]
    assert (await api.get("/api/insights", params={"session_id": "ada"})).json()["total_videos_tracked"] == 1


async def test_what_is_no_post_of_a_run_is_refused_and_says_why(api: httpx2.AsyncClient, done: str) -> None:
    refused: list[tuple[dict[str, Any], int, str]] = [
        ({"run_id": NO_RUN}, 404, NO_RUN),
        ({"run_id": "../../etc"}, 404, "no run"),
        ({"script_id": "S99"}, 404, "S99"),
        ({"script_id": "__proto__"}, 404, "no script"),
        ({"post_url": "javascript:alert(1)"}, 422, "http://"),
        ({"views": -1}, 422, "views"),
    ]
    for changes, status, said in refused:
        answer = await api.post("/api/performance", json=body(done) | changes)
        assert answer.status_code == status, answer.text
        assert said in answer.json()["detail"]
    for raw in (b"", b"[]", b"{", b"null", b'{"views": NaN}', b"[" * 100_000):
        assert (await api.post("/api/performance", content=raw)).status_code == 422
    assert (await api.get(f"/api/performance/{done}")).json()["performances"] == []


async def test_a_run_under_way_takes_no_posts(quiet_api: httpx2.AsyncClient, started: Started) -> None:
    run_id = await started(quiet_api)
    answer = await quiet_api.post("/api/performance", json=body(run_id))
    assert answer.status_code == 409
    assert "pending" in answer.json()["detail"]
    assert (await quiet_api.get(f"/api/performance/{run_id}")).json() == {"run_id": run_id, "performances": []}
    assert (await quiet_api.get(f"/api/performance/{NO_RUN}")).status_code == 404


async def test_twelve_posts_teach_and_the_next_run_is_told(
    api: httpx2.AsyncClient, done: str, started: Started, hosts: LocalHosts
) -> None:
    empty = (await api.get("/api/insights", params={"session_id": "ada"})).json()
    assert (empty["top_patterns"], empty["prediction_accuracy"], empty["total_videos_tracked"]) == ([], None, 0)
    assert "10 posts" in empty["note"]

    ranking = (await api.get(f"/api/runs/{done}/ranking")).json()["rows"]
    for row in ranking:  # the panel was right, on both platforms
        for platform in ("tiktok", "youtube"):
            post = body(done, row["script_id"], platform=platform, likes=500 - 10 * row["rank"])
            assert (await api.post("/api/performance", json=post)).status_code == 200
    learned = (await api.get("/api/insights", params={"session_id": "ada"})).json()
    assert (learned["prediction_accuracy"], learned["n"], learned["pairs"]) == (1.0, 12, 30)
    assert learned["interval"][0] < 0.7
    assert learned["total_videos_tracked"] == 12
    assert learned["top_patterns"][0].keys() >= {"pattern", "n", "engagement_rate", "lift", "interval"}
    assert (await api.get("/api/insights", params={"session_id": "bob"})).json()["total_videos_tracked"] == 0

    told = (await api.get(f"/api/runs/{await started(api, session='ada')}")).json()["configuration"]["feedback"]
    assert "made from earlier scripts" in told["s3"]
    assert "100% of cases" in told["s4"]
    other = (await api.get(f"/api/runs/{await started(api, session='bob')}")).json()["configuration"]["feedback"]
    assert other == {"s3": "", "s4": ""}
    preview = (await api.get("/api/prompts/preview")).json()
    assert "{results}" in preview["s3_feedback"]
    assert "{panel}" in preview["s4_feedback"]


async def test_the_personas_hear_how_well_they_had_judged(
    api: httpx2.AsyncClient, done: str, store: RedisRunStore, redis_url: str
) -> None:
    result = await gather_result(store, RunId(done))
    best, worst = result.table()[0].script_id, result.table()[5].script_id
    keys = {persona.persona_id: persona_key(persona, "ada") for persona in result.personas}
    redis = connect(redis_url)

    async def memory() -> dict[str, tuple[int, float]]:
        states = await RedisPersonas(redis, 600).load(RunId(done), list(keys.values()))
        return {who: (states[key].scored, states[key].agreed) for who, key in keys.items()}

    before = await memory()
    await api.post("/api/performance", json=body(done, best, likes=400))
    await api.post("/api/performance", json=body(done, worst, platform="youtube", likes=900))
    assert await memory() == before  # one result alone says nothing, and platforms do not compare
    for _ in range(2):
        await api.post("/api/performance", json=body(done, worst, likes=1))
    after = await memory()
    await redis.aclose()
    for ballot in result.ballots:
        listed = [script for script in ballot.top if script in (best, worst)]
        scored, agreed = before[ballot.persona_id]
        right = bool(listed) and listed[0] == best
        assert after[ballot.persona_id] == (scored + len(listed), pytest.approx(agreed + len(listed) * right))
    assert sum(scored for scored, _ in after.values()) > sum(scored for scored, _ in before.values())


async def test_a_post_comes_in_after_redis_has_forgotten_the_run(
    api: httpx2.AsyncClient, done: str, store: RedisRunStore, archive: Archive
) -> None:
    result = await gather_result(store, RunId(done))
    while await archive.records.run(RunId(done)) is None:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    live = await api.post("/api/performance", json=body(done, "S01"))
    await store.delete(RunId(done))
    late = await api.post("/api/performance", json=body(done, "S02"))
    assert (live.status_code, late.status_code) == (200, 200)
    rows = {row["script_id"]: row for row in (await api.get(f"/api/performance/{done}")).json()["performances"]}
    for row in result.table():
        if row.script_id in rows:
            assert (rows[row.script_id]["rank"], rows[row.script_id]["pattern_used"]) == (row.rank, row.pattern_used)
    assert len(rows) == 2
    assert (await api.post("/api/performance", json=body(done, "S99"))).status_code == 404
    assert (await api.get("/api/insights")).json()["total_videos_tracked"] == 2  # of all sessions
