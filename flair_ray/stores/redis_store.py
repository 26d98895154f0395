"""Runs in Redis: the one truth about what was asked, what is done and what was seen.

A run is a hash (state), a stream (event log), a hash of outcomes per map stage, and a lease. Every write
that matters is one Lua script, so that a reader never sees half of it and a crash leaves no half behind.

Invariants:
- an item has at most one outcome, and exactly one progress event, appended in the same step;
- ``completed`` is the length of the outcomes' hash: it cannot differ from the results;
- a driver whose fencing token is not the newest cannot change a run's state; workers' results carry no
  token, because an answer that was paid for is welcome from anybody;
- event ids are the stream's: their order is the log's order.

When Redis cannot be reached every method raises StoreUnavailable, after redis-py's own retries. A call whose
reply was lost may have happened: all writes here may be repeated, by redis-py or by whoever called.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import Any

from pydantic_core import from_json, to_json
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from flair_ray.domain.calls import CALL_COUNTS, CallTally, Usage
from flair_ray.domain.codec import decode, encode
from flair_ray.domain.events import Event, EventDraft, EventName, Json, begins
from flair_ray.domain.ids import ItemId, RunId, StageName
from flair_ray.domain.runs import NO_REQUEST, RunInputs, RunOutline, RunSnapshot, RunSpec, RunStatus
from flair_ray.domain.work import Done, Skipped, dump_outcome, load_outcome
from flair_ray.errors import InfrastructureError, LeaseLost, RunConflict, RunNotFound, StoreUnavailable
from flair_ray.ports import Claim, Lease, Recorded, StageJob
from flair_ray.stores import keys
from flair_ray.stores.pool import Pool
from flair_ray.stores.scripts import load_scripts
from flair_ray.stores.snapshots import read_outline, read_snapshot

POOL_SIZE = 64
"""Connections of one process. A worker's calls take well under a millisecond each, so few are ever in use;
a full pool makes callers wait instead of opening more."""
EVENTS_PER_ITEM = 3
EVENTS_PER_RUN = 64
"""A stream keeps at least this many entries, plus three per planned item: more than a run can append,
so a live run is never trimmed."""
REPEATED_S = 600
"""Longer than redis-py repeats a command that it heard no reply to (see ``connect``)."""
PAGE = 1000
SOCKET_TIMEOUT_S = 5.0
LONGEST_BLOCK_MS = 4_000
"""Below the socket's timeout, or a wait for news would be taken for a dead server."""

Pairs = Mapping[str, str | int]


def connect(url: str) -> Redis:
    """A client with a bounded pool. It outlasts a restart of the server: retries go on for about 30 s (some minutes
    where a server takes connections and says nothing)."""
    pool = Pool.from_url(
        url,
        max_connections=POOL_SIZE,
        timeout=30,
        decode_responses=True,
        health_check_interval=30,
        socket_connect_timeout=SOCKET_TIMEOUT_S,
        socket_timeout=SOCKET_TIMEOUT_S,
        retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), 34),
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
    )
    return Redis.from_pool(pool)


def listener(url: str) -> Redis:
    """A client for a connection that mostly waits: no timeout, and no new connection behind the back of its user."""
    retry = Retry(NoBackoff(), 0, supported_errors=())
    timeouts: dict[str, Any] = {"socket_connect_timeout": SOCKET_TIMEOUT_S, "socket_timeout": None}  # unsaid: 5 s
    return Redis.from_url(url, decode_responses=True, retry=retry, **timeouts)


async def ping(url: str) -> bool:
    """Whether a server answers there, tried once: a wrong address must not take half a minute to show."""
    try:
        async with Redis.from_url(
            url, socket_connect_timeout=SOCKET_TIMEOUT_S, socket_timeout=SOCKET_TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        ) as probe:
            await probe.ping()
    except (RedisError, ValueError, OSError):
        return False
    return True


class RedisRunStore:
    """See ``flair_ray.ports.RunStore`` for what each method promises."""

    def __init__(self, redis: Redis, run_ttl_s: int, cache_ttl_s: int = 86_400) -> None:
        self._redis = redis
        self._ttl_s = run_ttl_s
        self._cache_ttl_s = cache_ttl_s
        self._lua = load_scripts(redis)

    async def create(
        self, run_id: RunId, spec: RunSpec, inputs: RunInputs, first: EventDraft, *, hosted: bool = False
    ) -> None:
        planned = spec.num_videos + 2 * spec.num_scripts + (3 if spec.refine else 1) * spec.num_personas
        created = await self._run(
            "create",
            [
                keys.run(run_id),
                keys.events(run_id),
                keys.all_runs(),
                keys.session_runs(spec.session_id),
                keys.inputs(spec.inputs_key),
                keys.hosted_runs(),
                keys.deleted_runs(),
            ],
            [
                run_id,
                encode(spec),
                spec.session_id,
                self._ttl_s,
                first.name.value,
                _json(first.data),
                encode(inputs),
                EVENTS_PER_RUN + EVENTS_PER_ITEM * planned,
                int(hosted),
                str(first.data.get("request_id", NO_REQUEST)),
            ],
        )
        if not created:
            raise RunConflict(
                f"There is a run {run_id} already, or was one until lately. `flair resume {run_id}` goes on with it."
            )

    async def host(self, run_id: RunId, request_id: str = NO_REQUEST) -> None:
        status = await self._run("host", [keys.run(run_id), keys.hosted_runs()], [run_id, request_id])
        if status is None:
            raise RunNotFound(run_id)
        if status == RunStatus.COMPLETED.value:
            raise RunConflict(f"Run {run_id} is completed already; there is nothing to go on with.")

    async def adoptable(self, most: int) -> list[RunId]:
        found = await self._run("adoptable", [keys.hosted_runs()], [most, keys.run(RunId(""))])
        return [RunId(run_id) for run_id in found]

    async def spec(self, run_id: RunId) -> RunSpec:
        async with translated():
            text = await self._redis.hget(keys.run(run_id), "spec")
        if text is None:
            raise RunNotFound(run_id)
        return decode(RunSpec, text)

    async def inputs(self, key: str) -> RunInputs:
        async with translated():
            text = await self._redis.getex(keys.inputs(key), ex=self._ttl_s)
        if text is None:
            raise InfrastructureError(f"The videos and personas {key} of this run are gone from Redis.")
        return decode(RunInputs, text)

    async def snapshot(self, run_id: RunId) -> RunSnapshot:
        found = await self._snapshots([run_id])
        if not found:
            raise RunNotFound(run_id)
        return found[0]

    async def runs(self, session_id: str | None = None) -> list[RunSnapshot]:
        return await self._snapshots(await self._ids(session_id))

    async def outlines(self, session_id: str | None = None) -> list[RunOutline]:
        ids = await self._ids(session_id)
        async with translated():
            pipe = self._redis.pipeline(transaction=False)
            for run_id in ids:
                pipe.hgetall(keys.run(run_id))
            found = await pipe.execute()
        return [read_outline(run_id, run) for run_id, run in zip(ids, found, strict=True) if run]

    async def _ids(self, session_id: str | None) -> list[RunId]:
        index = keys.all_runs() if session_id is None else keys.session_runs(session_id)
        async with translated():
            ids: Any = await self._redis.zrange(index, 0, -1)
        return [RunId(run_id) for run_id in ids]

    async def _snapshots(self, ids: Sequence[RunId]) -> list[RunSnapshot]:
        async with translated():
            pipe = self._redis.pipeline(transaction=False)
            for run_id in ids:
                pipe.hgetall(keys.run(run_id))
                pipe.hgetall(keys.budget(run_id))
            replies = iter(await pipe.execute())
            rows = [(i, run, budget) for i, run, budget in zip(ids, replies, replies, strict=True) if run]
            specs = [decode(RunSpec, run["spec"]) for _, run, _ in rows]
            pipe = self._redis.pipeline(transaction=False)
            for (run_id, *_), spec in zip(rows, specs, strict=True):
                for stage in spec.stages:
                    pipe.hgetall(keys.tally(run_id, stage))
                    pipe.hlen(keys.results(run_id, spec.fingerprint, stage))
            found = iter(await pipe.execute())
        return [
            read_snapshot(*row, [(stage, next(found), next(found)) for stage in spec.stages], spec)
            for row, spec in zip(rows, specs, strict=True)
        ]

    async def acquire(self, run_id: RunId, ttl_s: float) -> Lease:
        lease_keys = [keys.lease(run_id), keys.run(run_id)]
        token, taken = await self._run("acquire", lease_keys, [int(ttl_s * 1000), secrets.token_hex(8)])
        if token == -1:
            raise RunNotFound(run_id)
        if token == 0:
            raise RunConflict(
                f"Run {run_id} is being driven by another process. `flair tail {run_id}` follows it; "
                f"if that process is dead, its lease ends within {ttl_s:g} s."
            )
        return Lease(run_id, token, taken)

    async def renew(self, lease: Lease, ttl_s: float) -> bool:
        answer = await self._run(
            "renew", [keys.lease(lease.run_id), keys.run(lease.run_id)], [lease.token, int(ttl_s * 1000)]
        )
        if answer == -1:
            raise LeaseLost(lease.run_id)
        return bool(answer == 1)

    async def release(self, lease: Lease, *, in_vain: bool = False) -> None:
        lease_keys = [keys.lease(lease.run_id), keys.run(lease.run_id)]
        await self._run("release", lease_keys, [lease.token, int(in_vain)])

    async def reopen(self, lease: Lease, recovered: EventDraft) -> None:
        await self._transition(
            lease,
            once=(f"reopened:{lease.token}", "1"),
            pairs={
                "status": RunStatus.RUNNING.value,
                "finished_ms": "@del",
                "error": "@del",
                "exit_code": "@del",
                "recover": "@del",
            },
            drafts=[recovered],
        )

    async def begin_stage(self, lease: Lease, stage: StageName, total: int) -> None:
        name, key = begins(stage)
        await self._transition(
            lease,
            once=(f"total:{stage.value}", str(total)),
            pairs={"status": RunStatus.RUNNING.value, "stage": stage.value, f"begun:{stage.value}": "@now"},
            drafts=[EventDraft(name, {key: stage.value, "total_items": total})],
        )

    async def grow_stage(self, lease: Lease, stage: StageName, total: int) -> None:
        await self._transition(lease, (f"grown:{stage.value}:{total}", "1"), {f"total:{stage.value}": str(total)}, [])

    async def complete_stage(
        self, lease: Lease, stage: StageName, used: Sequence[ItemId], drafts: Sequence[EventDraft]
    ) -> tuple[ItemId, ...]:
        freeze = (f"frozen:{stage.value}", to_json(list(used)).decode())
        stored = await self._transition(lease, freeze, {f"ended:{stage.value}": "@now", "taken": "@del"}, drafts)
        return tuple(from_json(stored))

    async def frozen(self, run_id: RunId) -> Mapping[StageName, tuple[ItemId, ...]]:
        stages = list(StageName)
        async with translated():
            texts = await self._redis.hmget(keys.run(run_id), [f"frozen:{s.value}" for s in stages])
        return {s: tuple(from_json(t)) for s, t in zip(stages, texts, strict=True) if t is not None}

    async def announce(self, job: StageJob, item_id: ItemId, draft: EventDraft) -> None:
        await self._run(
            "announce",
            [keys.started(job.run_id, job.stage), keys.events(job.run_id), keys.run(job.run_id)],
            [item_id, draft.name.value, _json(draft.data)],
        )

    async def record(
        self,
        job: StageJob,
        item_id: ItemId,
        outcome: Done | Skipped,
        draft: EventDraft,
        tally: CallTally,
        claim: Claim | None = None,
        answer: str | None = None,
    ) -> Recorded:
        first, completed = await self._run(
            "record",
            [
                keys.results(job.run_id, job.fingerprint, job.stage),
                keys.events(job.run_id),
                keys.tally(job.run_id, job.stage),
                keys.run(job.run_id),
                keys.claim(claim.key if claim else ""),
                keys.answer(claim.key if claim else ""),
                keys.delivery(secrets.token_hex(8)),
            ],
            [
                item_id,
                dump_outcome(outcome),
                draft.name.value,
                _json(draft.data),
                job.total,
                int(isinstance(outcome, Skipped)),
                keys.landed(claim.key) if claim else "",
                answer if claim and claim.shared and answer else "",
                self._cache_ttl_s,
                REPEATED_S,
                *_counters(tally),
            ],
        )
        if first == -1:
            raise RunNotFound(job.run_id)
        return Recorded(first == 1, completed)

    async def revoke(self, owner: str) -> None:
        async with translated():
            await self._redis.delete(keys.owner(owner))
            await self._redis.publish(keys.gone(owner), 1)

    async def outcomes(self, run_id: RunId, fingerprint: str, stage: StageName) -> dict[ItemId, Done | Skipped]:
        async with translated():
            pipe = self._redis.pipeline(transaction=False)
            pipe.hgetall(keys.results(run_id, fingerprint, stage))
            for key in (keys.results(run_id, fingerprint, stage), keys.tally(run_id, stage)):
                pipe.expire(key, self._ttl_s)
            stored, *_ = await pipe.execute()
        return {ItemId(item_id): load_outcome(text) for item_id, text in stored.items()}

    async def finish(
        self, lease: Lease, status: RunStatus, draft: EventDraft, error: str | None = None, exit_code: int = 0
    ) -> None:
        await self._transition(
            lease,
            once=(f"finished:{lease.token}", status.value),
            pairs={
                "status": status.value,
                "finished_ms": "@now",
                "exit_code": exit_code,
                "cancel": "@del",
                "taken": "@del",
                "recover": "@del",  # or a run that cannot be loaded would be taken up again and again
                "error": error or "@del",
            },
            drafts=[draft],
        )

    async def request_cancel(self, run_id: RunId) -> None:
        draft = EventDraft(EventName.PIPELINE_CANCELLED, {"run_id": run_id, "stage": None})
        answer = await self._run(
            "cancel",
            [keys.run(run_id), keys.lease(run_id), keys.events(run_id), keys.unkept_runs()],
            [run_id, draft.name.value, _json(draft.data)],
        )
        if answer == "gone":
            raise RunNotFound(run_id)
        if answer not in ("requested", "cancelled"):
            raise RunConflict(f"Run {run_id} is {answer} already; there is nothing to cancel.")

    async def is_driven(self, run_id: RunId) -> bool:
        async with translated():
            pipe = self._redis.pipeline()
            pipe.hget(keys.run(run_id), "status")
            pipe.exists(keys.lease(run_id))
            status, held = await pipe.execute()
        if status is None:
            raise RunNotFound(run_id)
        return bool(held) and not RunStatus(status).terminal

    async def delete(self, run_id: RunId) -> None:
        spec = await self.spec(run_id)
        own = [keys.run, keys.events, keys.lease, keys.budget, keys.seats, keys.videos]
        per_stage = [keys.started, keys.tally, keys.reservations]
        await self._run(
            "delete",
            [
                keys.all_runs(),
                keys.session_runs(spec.session_id),
                keys.hosted_runs(),
                keys.unkept_runs(),
                keys.deleted_runs(),
                *(key(run_id) for key in own),
                *(key(run_id, stage) for key in per_stage for stage in StageName),
                *(keys.results(run_id, spec.fingerprint, stage) for stage in StageName),
            ],
            [run_id],
        )

    async def events(self, run_id: RunId, after: str = "0", block_ms: int | None = None) -> list[Event]:
        async with translated():
            block = min(block_ms, LONGEST_BLOCK_MS) if block_ms else None  # 0 would mean for ever
            reply: Any = await self._redis.xread({keys.events(run_id): after}, count=PAGE, block=block)
        entries = reply[0][1] if reply else []
        return [Event(entry_id, entry["name"], from_json(entry["data"])) for entry_id, entry in entries]

    async def close(self) -> None:
        await self._redis.aclose()
        await self._redis.connection_pool.aclose()

    async def _transition(self, lease: Lease, once: tuple[str, str], pairs: Pairs, drafts: Sequence[EventDraft]) -> str:
        flat = [part for pair in pairs.items() for part in pair]
        told = [part for d in drafts for part in (d.name.value, _json(d.data))]
        stored = await self._run(
            "transition",
            [keys.run(lease.run_id), keys.events(lease.run_id), keys.unkept_runs()],
            [lease.run_id, lease.token, *once, len(pairs), *flat, *told],
        )
        if stored is None:
            raise LeaseLost(lease.run_id)
        return str(stored)

    async def _run(self, script: str, keys_: list[str], args: Sequence[str | int]) -> Any:
        async with translated():
            return await self._lua[script](keys=keys_, args=list(args))


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Redis' errors as ours."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError) as err:
        raise StoreUnavailable(f"Redis cannot be reached ({type(err).__name__}). Is it running?") from err
    except RedisError as err:
        raise StoreUnavailable(f"Redis refused a command: {err}") from err
    _heed_cancel()


def _heed_cancel() -> None:
    """Raise the CancelledError that redis-py may have lost.

    It sends under ``asyncio.wait_for``, which up to Python 3.11 drops a cancel that comes in the instant the send is
    done (https://github.com/python/cpython/issues/86296): a driver that was told to stop would go on.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _json(data: Mapping[str, Json]) -> str:
    return to_json(data).decode()


def _counters(tally: CallTally) -> list[str | int]:
    counts = {name: getattr(tally, name) for name in CALL_COUNTS}
    counts |= {f.name: getattr(tally.usage, f.name) for f in fields(Usage)}
    return [part for name, n in counts.items() if n for part in (name, n)]
