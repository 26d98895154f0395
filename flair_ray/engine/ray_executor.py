"""The executor on Ray: a map stage becomes a few streaming tasks, one per shard, never one per item.

A task per model call would cost a worker process each (80 MB, half a second); a shard multiplexes its items
on one event loop. Tasks have ``max_retries=0``: a retried generator resumes by index, and what it yields in
completion order would be lost and doubled. When a worker dies the driver hears ``Lost`` and resubmits what
the store does not have.

A job too small to be worth a process rides a resident pool of async actors instead.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR
from ray.exceptions import RayError, RayTaskError

from flair_ray.domain.ids import digest
from flair_ray.domain.runs import ModelChoice
from flair_ray.engine.naming import NAMESPACE, detached
from flair_ray.engine.ray_worker import Fatal, ShardHost, ToolKit, run_shard_task, warm_worker
from flair_ray.engine.shard import OnDuty, split
from flair_ray.errors import ClusterUnavailable
from flair_ray.ports import Delivered, Lost, StageJob

SHARD_CPUS = 0.1
"""A shard waits for other people's servers: ten default runs at once must fit two cores."""
ITEMS_PER_SHARD = 50
"""Two shards for a default S1 keep both cores busy while they parse; more only cost memory."""
FEWEST_PER_SHARD = 10
"""A shard learns from its own calls what is usual, and asks late ones again (flow/hedging.py): five know nothing."""
SMALL_JOB = 8
"""Below this many items a job rides the resident pool. One item costs 1–2 ms there, a fresh worker process
0.5–1.5 s; from about eight items on the process pays for itself by a loop of its own."""
MOST_PER_SHARD = 500
"""A longer stage becomes a queue of shards: nodes that join while it goes on find something to take, and what a lost
worker had is no large part of it."""
QUEUED_CPUS = 0.45
"""What a shard of such a queue asks for: two a core, so that a thousand calls may wait on it, and a tenth of each node
is left to whoever has less to do. What finds no room is demand that an autoscaler sees; at 0.1 twenty fit two cores."""
NODE_LOOK_S = 5.0
RESIDENTS = 2
IDLE_WORKER_MS = 20_000
"""How long a local Ray keeps a worker that has nothing to do. By default a second, and every next stage of ten runs at
once would start its processes anew: 0.7 s of CPU each."""
NICENESS = 0
"""Of a local Ray's workers. Serve's replicas are workers, too: those who carry runs out step back by themselves."""
BRING_CODE = {"pip", "uv", "conda", "py_modules", "py_executable", "image_uri", "container"}
"""Fields of a job's runtime environment."""
_END = object()
log = logging.getLogger(__name__)

Delivery = Delivered | Lost


class RayExecutor:
    """Runs jobs on the Ray cluster this process is connected to."""

    def __init__(self, kit: ToolKit, version: str, node_wait_s: float = 900.0) -> None:
        self._kit = kit
        self._version = version
        self._node_wait_s = node_wait_s
        self._stages = 0
        self._residents: dict[int, Any] = {}
        # Over the nodes: Ray would fill the first one up to its half, which is all there is of a stage.
        self._task = ray.remote(num_returns="streaming", max_retries=0, scheduling_strategy="SPREAD")(run_shard_task)

    async def warm(self, models: Sequence[ModelChoice], *, everywhere: bool) -> None:
        """Have a worker check the models, and with ``everywhere`` as many as a default stage uses make ready.

        Getting ready (imports, clients) takes a second or so that the first stage would wait for otherwise. Raises
        what every call would raise, such as AuthRefused, before anything is spent.
        """
        task = ray.remote(num_cpus=SHARD_CPUS, max_retries=0)(warm_worker)
        count, _ = shards_for(2 * ITEMS_PER_SHARD) if everywhere else (1, SHARD_CPUS)
        made = asyncio.gather(*(task.remote(self._kit, models, check=i == 0) for i in range(count)))
        watch = asyncio.create_task(deserted_after(self._node_wait_s))
        either: list[asyncio.Future[Any]] = [made, watch]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            error = made.result()[0] if made.done() else watch.result()
        finally:
            made.cancel()
            watch.cancel()
        if error is not None:
            raise error

    async def map(self, job: StageJob) -> AsyncGenerator[Delivery, None]:
        small = len(job.items) < SMALL_JOB
        # A task is named after its stage, not its run: names are tags of Ray's metrics, which every process keeps.
        self._stages += 1
        count, cpus = (1, 0.0) if small else shards_for(len(job.items), self._stages)
        start = self._start_resident if small else partial(self._start_task, cpus)
        shards = split(job, count)
        queue: asyncio.Queue[Any] = asyncio.Queue()
        readers = [
            asyncio.create_task(
                self._read(shard, partial(start, shard, f"{job.stage.value} {i + 1}/{len(shards)}"), queue)
            )
            for i, shard in enumerate(shards)
        ]
        watch = [] if small else [asyncio.create_task(self._watch(queue))]
        try:
            running = len(readers)
            while running:
                delivery = await queue.get()
                if delivery is _END:
                    running -= 1
                elif isinstance(delivery, Fatal):
                    raise delivery.error
                elif isinstance(delivery, Exception):
                    raise delivery  # no node takes work; or a bug: a task that cannot be sent, no FlairError
                else:
                    yield delivery
        finally:
            self._stages -= 1
            for task in (*watch, *readers):
                task.cancel()
            await asyncio.gather(*watch, *readers, return_exceptions=True)

    async def _watch(self, queue: asyncio.Queue[Any]) -> None:
        queue.put_nowait(await deserted_after(self._node_wait_s))

    async def _read(self, shard: StageJob, start: Callable[[], Any], queue: asyncio.Queue[Any]) -> None:
        missing = {item_id for item_id, _ in shard.items}
        stream: Any = None
        owner: str | None = None
        try:
            stream = start()
            async for ref in stream:
                delivery = await ref
                if isinstance(delivery, OnDuty):
                    owner = delivery.owner
                    continue
                if isinstance(delivery, Delivered):
                    missing.discard(delivery.item_id)
                queue.put_nowait(delivery)
        except RayTaskError as err:
            queue.put_nowait(err)
        except RayError as err:  # whatever took it: a crash, its node, the memory monitor, a restarting actor
            self._residents.clear()  # one of them may be gone for good
            queue.put_nowait(Lost(tuple(sorted(missing)), type(err).__name__, owner))
        except Exception as err:
            queue.put_nowait(err)
        finally:
            if stream is not None:  # dropping a generator does not end its task
                with suppress(RayError, ValueError, TypeError):
                    ray.cancel(stream)
            queue.put_nowait(_END)

    def _start_task(self, cpus: float, shard: StageJob, name: str) -> Any:
        return self._task.options(name=name, num_cpus=cpus).remote(shard, self._kit)

    def _start_resident(self, shard: StageJob, name: str) -> Any:
        index = int(digest(shard.run_id), 16) % RESIDENTS
        host = self._residents.get(index)
        if host is None:
            host = self._residents[index] = resident(index, self._version)
        return host.run.options(num_returns="streaming", name=name).remote(shard, self._kit)


def shards_for(items: int, stages: int = 1) -> tuple[int, float]:
    """How many shards, and the CPUs of each: two where there is enough for two, so that a lost worker is not the whole
    stage.

    One per core at most while none has more than ``MOST_PER_SHARD``: a shard multiplexes hundreds of calls, and a
    second one on the same core would only cost a process. So the cores are shared between the ``stages`` that are
    mapped at the same time: ten default runs at once start ten processes and not twenty. A longer stage is a queue.
    """
    cores, queued = int(ray.cluster_resources().get("CPU", 1)), math.ceil(items / MOST_PER_SHARD)
    if queued > max(1, cores):
        return queued, QUEUED_CPUS
    wanted = min(max(2, math.ceil(items / ITEMS_PER_SHARD)), items // FEWEST_PER_SHARD, cores // stages)
    return max(queued, wanted), SHARD_CPUS


async def deserted_after(wait_s: float) -> ClusterUnavailable:
    """Returns once no node of the cluster has taken work for so long; a busy cluster takes it in the end.

    An autoscaler may take minutes to bring one, or never bring it.
    """
    pause_s, alone_s = min(NODE_LOOK_S, wait_s), 0.0
    while alone_s < wait_s:
        await asyncio.sleep(pause_s)
        alone_s = 0.0 if workers() else alone_s + pause_s
        if alone_s == pause_s:
            log.warning("No node of the cluster takes work yet: waiting up to %.0f s for one.", wait_s)
    return ClusterUnavailable(
        f"No node of the cluster has taken work for {wait_s:.0f} s: none has a CPU. Add one, or have the autoscaler do "
        "it (`ray status` says why it does not), then go on with the run. FLAIR_NODE_WAIT_S says how long to wait."
    )


def resident(index: int, version: str) -> Any:
    """One of the resident shard hosts, started if need be. The version is in its name: old code is not reused."""
    return detached(ShardHost, resident_name(index, version), 1000)


def resident_name(index: int, version: str) -> str:
    return f"shard-host-{index}-{version}"


_users = 0
_ours = False
_door = threading.Lock()


def join_ray(address: str | None) -> None:
    """Join the cluster at ``address``, else the Ray this process has, else start a local one.

    Several may join at once. Raises ClusterUnavailable naming the address.
    """
    global _users, _ours  # noqa: PLW0603  # Ray itself is one per process
    with _door:
        if not ray.is_initialized():
            connect_ray(address)
            _ours = True
        _users += 1


def leave_ray() -> None:
    """The last one out shuts down a Ray that we started, and leaves any other as it was."""
    global _users, _ours  # noqa: PLW0603  # Ray itself is one per process
    with _door:
        _users -= 1
        if _users == 0 and _ours:
            _ours = False
            ray.shutdown()


def connect_ray(address: str | None, *, dashboard: bool = False) -> None:
    """Join the cluster at ``address``, or start a local one that ends with this process.

    Raises ClusterUnavailable naming the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    _keep_the_jobs_files()
    logging.getLogger("ray").setLevel(logging.ERROR)  # its start-up remarks are not for our users
    if address:
        _check_listening(address)
    local: dict[str, Any] = {
        "include_dashboard": dashboard,
        "object_store_memory": 150 * 1024**2,
        "_system_config": {"idle_worker_killing_time_threshold_ms": IDLE_WORKER_MS, "worker_niceness": NICENESS},
    }
    try:
        ray.init(
            address=address or "local",
            namespace=NAMESPACE,
            log_to_driver=False,
            configure_logging=False,
            **({} if address else local),
        )
    except (ConnectionError, RuntimeError, ValueError, RayError) as err:
        raise ClusterUnavailable(
            f"Ray at {address} does not let us in. Is it Ray {ray.__version__}? A cluster that was started with a "
            "token (any `ray start` where ~/.ray/auth_token exists) needs RAY_AUTH_MODE=token here, too."
            if address
            else f"Ray cannot be started on this machine: {str(err).splitlines()[0]}"
        ) from err


def _keep_the_jobs_files() -> None:
    """As a submitted job: its folder is this process' alone, unless our code came along with the job.

    Workers read no files, would start anew for it (a second each), and detached actors would outlive the folder.
    """
    job = json.loads(os.environ.get(RAY_JOB_CONFIG_JSON_ENV_VAR, "{}"))
    env = job.get("runtime_env") or {}
    if "working_dir" in env and not (env.keys() & BRING_CODE or _comes_along()):
        rest = {name: value for name, value in env.items() if value and name != "working_dir"}
        os.environ[RAY_JOB_CONFIG_JSON_ENV_VAR] = json.dumps({**job, "runtime_env": rest})


def _comes_along() -> bool:
    """Whether our code is in the folder that this process runs in."""
    return Path(__file__).is_relative_to(Path.cwd())


def _check_listening(address: str) -> None:
    """Ray itself would wait for ever for a cluster that is not there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return  # "auto" and the like: Ray finds out by itself, at once
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as err:
        raise ClusterUnavailable(
            f"Nothing answers at {address} ({err.strerror or 'no answer'}). Start a cluster there, or leave "
            "--address and RAY_ADDRESS away to run on this machine."
        ) from err


def on_ray() -> bool:
    """Whether this process belongs to a Ray cluster."""
    return bool(ray.is_initialized())


def alive_nodes() -> int:
    """Nodes of the connected cluster."""
    return sum(1 for node in ray.nodes() if node["Alive"])


def workers() -> int:
    """Nodes of the connected cluster that take work."""
    return sum(1 for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU"))


def end_residents() -> list[str]:
    """Kill the detached actors of our namespace; returns the names of those that were there."""
    found = [a["name"] for a in ray.util.list_named_actors(all_namespaces=True) if a["namespace"] == NAMESPACE]
    for name in found:
        with suppress(ValueError, RayError):
            ray.kill(ray.get_actor(name, namespace=NAMESPACE))
    return found
