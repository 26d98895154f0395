"""Watching a run: whoever leaves and comes back misses nothing and sees nothing twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from redis.asyncio import Redis

from flair_ray.config import Settings
from flair_ray.domain.ids import RunId
from flair_ray.stores import keys
from flair_ray.stores.redis_store import RedisRunStore, connect, listener
from flair_ray.telemetry import metrics, record
from serve_app.feed import QUEUE, Feed
from serve_app.streams import Streams
from tests.serve_app.conftest import BODY, LocalHosts, Serve
from tests.serve_app.reading import follow, messages, watch

Started = Callable[..., Awaitable[str]]


async def test_every_viewer_sees_the_whole_log(
    quiet_api: httpx2.AsyncClient, started: Started, hosts: LocalHosts, store: RedisRunStore
) -> None:
    run_id = await started(quiet_api)
    viewers = [asyncio.create_task(watch(quiet_api, run_id)) for _ in range(5)]
    hosts.wake()
    seen = await asyncio.gather(*viewers)
    stored = [event.envelope() for event in await store.events(RunId(run_id))]
    assert stored[0]["event"] == "pipeline_started"
    assert all(found == stored for found in [*seen, await watch(quiet_api, run_id)])


async def test_a_cursor_goes_before_a_remembered_id(api: httpx2.AsyncClient, started: Started) -> None:
    run_id = await started(api)
    whole = await watch(api, run_id)
    assert await watch(api, run_id, headers={"Last-Event-ID": whole[-1]["id"]}, cursor=whole[0]["id"]) == whole[1:]


async def test_a_connection_that_is_cut_at_every_event_loses_and_repeats_nothing(
    quiet_api: httpx2.AsyncClient, started: Started, hosts: LocalHosts, store: RedisRunStore
) -> None:
    """While the run goes on, and of one that is over; by header and by query. At each event it is a new connection."""
    run_id = await started(quiet_api)
    live = [asyncio.create_task(follow(quiet_api, run_id, events_each=1, by_cursor=by)) for by in (False, True)]
    hosts.wake()
    during = await asyncio.gather(*live)
    after = await follow(quiet_api, run_id, events_each=1)
    stored = [event.envelope() for event in await store.events(RunId(run_id))]
    for seen, connections in (*during, after):
        assert seen == stored
        assert connections == len(stored) + 1


async def test_after_the_last_event_there_is_nothing(api: httpx2.AsyncClient, started: Started) -> None:
    run_id = await started(api)
    last = (await watch(api, run_id))[-1]["id"]
    path = f"/api/pipeline/status/{run_id}"
    assert (await api.get(path, headers={"Last-Event-ID": last})).status_code == 204
    assert (await api.get(path, params={"cursor": last})).status_code == 204
    assert (await api.get(path, params={"cursor": "$"})).status_code == 422
    assert await watch(api, run_id, headers={"Last-Event-ID": "garbage"})


async def test_a_browser_can_read_it(api: httpx2.AsyncClient, started: Started) -> None:
    run_id = await started(api)
    async with api.stream("GET", f"/api/pipeline/status/{run_id}") as response:
        raw = await response.aread()
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["cache-control"] == "no-store"
    assert b"\r" not in raw


async def test_a_head_of_a_stream_waits_for_nothing(quiet_api: httpx2.AsyncClient, started: Started) -> None:
    path = f"/api/pipeline/status/{await started(quiet_api)}"
    answer = await quiet_api.head(path, timeout=5)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert (await quiet_api.head("/api/health")).status_code == 200


async def test_somebody_who_hangs_up_leaves_the_run_alone(quiet_api: httpx2.AsyncClient, hosts: LocalHosts) -> None:
    async with quiet_api.stream("POST", "/api/pipeline/run", json=BODY) as response:
        first = await anext(messages(response))
    hosts.wake()
    assert (await watch(quiet_api, first["data"]["run_id"]))[-1]["event"] == "pipeline_complete"


async def test_one_request_starts_and_streams_lines(api: httpx2.AsyncClient) -> None:
    headers = {"Accept": "application/x-ndjson"}
    async with api.stream("POST", "/api/pipeline/run", json=BODY, headers=headers) as response:
        lines = [json.loads(line) async for line in response.aiter_lines()]
    assert response.headers["content-type"].startswith("application/x-ndjson")
    assert (lines[0]["event"], lines[-1]["event"]) == ("pipeline_started", "pipeline_complete")


async def test_a_waiting_viewer_hears_a_heartbeat_that_is_not_stored(
    serve_api: Serve, settings: Settings, started: Started, store: RedisRunStore
) -> None:
    async with serve_api(settings, heartbeat_s=0.02) as client:
        run_id = await started(client)
        async with (
            client.stream("GET", f"/api/pipeline/status/{run_id}") as response,
            aclosing(messages(response)) as it,
        ):
            first, beat = await anext(it), await anext(it)
        assert beat["event"] == "heartbeat"
        assert beat["id"] == first["id"]
        assert beat["data"]["status"] == "pending"
    assert len(await store.events(RunId(run_id))) == 1


async def test_an_end_that_was_recovered_from_is_history(
    quiet_api: httpx2.AsyncClient, started: Started, hosts: LocalHosts
) -> None:
    run_id = await started(quiet_api)
    await quiet_api.post(f"/api/pipeline/{run_id}/cancel")
    before = await watch(quiet_api, run_id)
    assert before[-1]["event"] == "pipeline_cancelled"
    await quiet_api.post(f"/api/pipeline/{run_id}/recover")
    viewer = asyncio.create_task(watch(quiet_api, run_id, cursor=before[-1]["id"]))  # no 204: more will come
    hosts.wake()
    after = await viewer
    assert (after[0]["event"], after[-1]["event"]) == ("pipeline_recovered", "pipeline_complete")


async def test_a_viewer_who_reads_slowly_loses_nothing(
    redis_url: str, quiet_api: httpx2.AsyncClient, started: Started, store: RedisRunStore
) -> None:
    run_id = RunId(await started(quiet_api))
    redis, feed = connect(redis_url), Feed(listener(redis_url))
    seen = []
    async with aclosing(Streams(store, feed).watch(run_id)) as stream:
        seen.append(await anext(stream))
        waiting = asyncio.ensure_future(anext(stream))
        more = QUEUE * 3
        for n in range(more):
            await redis.xadd(keys.events(run_id), {"name": "vote_cast", "data": json.dumps({"n": n})})
        seen.append(await waiting)
        last = (await store.events(run_id))[-1].event_id
        while seen[-1]["id"] != last:
            seen.append(await anext(stream))
    assert [message["data"].get("n") for message in seen[1:]] == list(range(more))
    await feed.close()
    await redis.aclose()
    await redis.connection_pool.aclose()


async def test_viewers_are_counted_and_how_late_events_reach_them(redis_url: str, redis: Redis) -> None:
    feed, run_id = Feed(listener(redis_url)), RunId(uuid4().hex)
    before = record.said(metrics.EVENTS_LAG_S)
    with feed.watching(run_id, "0") as (viewer, _), feed.watching(run_id, "0"):
        assert record.said(metrics.VIEWERS) == 2
        await redis.xadd(keys.events(run_id), {"name": "vote_cast", "data": "{}"})
        await viewer.queue.get()
    assert record.said(metrics.VIEWERS) == 0
    assert record.said(metrics.EVENTS_LAG_S) == before + 1
    await feed.close()


async def test_an_entry_that_is_no_event_stops_nobody(redis_url: str, redis: Redis) -> None:
    feed, odd, other = Feed(listener(redis_url)), RunId(uuid4().hex), RunId(uuid4().hex)
    told = {"name": "vote_cast", "data": "{}"}
    with feed.watching(odd, "0") as (one, _), feed.watching(other, "0") as (two, _):
        for entry in ({"name": "vote_cast"}, {"name": "vote_cast", "data": "no JSON"}, told):
            await redis.xadd(keys.events(odd), entry)
        await redis.xadd(keys.events(other), told)
        events = [await asyncio.wait_for(viewer.queue.get(), 10) for viewer in (one, two)]
    assert [event.name for event in events] == ["vote_cast"] * 2
    assert one.queue.empty()
    await feed.close()


async def test_whatever_goes_wrong_in_reading_it_goes_on(
    redis_url: str, redis: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    feed, run_id = Feed(listener(redis_url)), RunId(uuid4().hex)
    hand_out, failed = feed._hand_out, []

    def fail_once(*found: Any) -> None:
        if not failed:
            failed.append(found)
            raise ValueError("the reason")
        hand_out(*found)

    monkeypatch.setattr(feed, "_hand_out", fail_once)
    with feed.watching(run_id, "0") as (viewer, _):
        await redis.xadd(keys.events(run_id), {"name": "vote_cast", "data": "{}"})
        assert (await asyncio.wait_for(viewer.queue.get(), 10)).name == "vote_cast"
    assert failed
    assert "the reason" in caplog.text
    await feed.close()


async def test_a_reader_that_has_ended_is_no_health(
    redis_url: str, serve_api: Serve, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def end(feed: Feed) -> None:
        pass

    monkeypatch.setattr(Feed, "_read", end)
    async with serve_api(settings) as client:
        assert (await client.get("/api/health")).status_code == 200
        run_id = (await client.post("/api/pipeline/start", json=BODY)).json()["run_id"]
        async with client.stream("GET", f"/api/pipeline/status/{run_id}") as response, aclosing(messages(response)):
            while (answer := await client.get("/api/health")).status_code == 200:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert answer.status_code == 503
    assert "logs" in answer.json()["detail"]


async def test_a_viewer_whose_events_are_not_kept_is_told_where_the_run_stands(
    redis_url: str, api: httpx2.AsyncClient, started: Started
) -> None:
    run_id = await started(api)
    whole = await watch(api, run_id)
    async with connect(redis_url) as redis:
        await redis.xtrim(keys.events(RunId(run_id)), maxlen=5, approximate=False)
        await redis.connection_pool.aclose()
    seen = await watch(api, run_id)
    assert (seen[0]["event"], seen[0]["data"]["status"]) == ("snapshot", "completed")
    assert seen[1:] == whole[-5:]


async def test_a_lost_connection_to_redis_is_not_noticed(
    redis_url: str, quiet_api: httpx2.AsyncClient, started: Started, hosts: LocalHosts, store: RedisRunStore
) -> None:
    run_id = await started(quiet_api)
    async with quiet_api.stream("GET", f"/api/pipeline/status/{run_id}") as response:
        seen = messages(response)
        got = [await anext(seen)]
        async with connect(redis_url) as redis:
            for _ in range(3):
                await redis.client_kill_filter(_type="normal", skipme=True)
                await asyncio.sleep(0.05)
            await redis.connection_pool.aclose()
        hosts.wake()
        got += [message async for message in seen]
    assert got == [event.envelope() for event in await store.events(RunId(run_id))]
    assert got[-1]["event"] == "pipeline_complete"


async def test_many_viewers_are_one_reader(
    redis_url: str, quiet_api: httpx2.AsyncClient, started: Started, hosts: LocalHosts
) -> None:
    runs = [await started(quiet_api) for _ in range(3)]
    viewers = [asyncio.create_task(watch(quiet_api, run_id)) for run_id in runs * 10]
    async with connect(redis_url) as redis:
        blocked = 0
        while blocked == 0:
            await asyncio.sleep(0.05)
            blocked = int((await redis.info("clients"))["blocked_clients"])
        assert blocked == 1
        await redis.connection_pool.aclose()
    hosts.wake()
    ends = {seen[-1]["event"] for seen in await asyncio.gather(*viewers)}
    assert ends == {"pipeline_complete"}
