"""A cluster of a head and two nodes loses the node that works.

    python -m tests.chaos.two_nodes REDIS_URL STAGE SHARE

A process of its own, because a process has one Ray. The head has no CPUs, so the stage's tasks are on the two
nodes; the raylet of one is killed with everything on it, actors included, and the run has to go on with the other.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack, suppress
from typing import Any

import psutil
import ray
from ray.cluster_utils import Cluster

from flair_ray.domain.ids import StageName
from flair_ray.testing.mock_options import MockOptions
from flair_ray.testing.mock_server import MockServer
from tests.chaos.conftest import JITTER, LATENCY_S
from tests.chaos.following import following
from tests.chaos.invariants import check_calls, check_run, safe_items
from tests.chaos.rig import BY_TASKS, IN_FLIGHT, Rig
from tests.chaos.victims import Scene, driven_here, workers_on

NODE = {"object_store_memory": 80 * 1024**2}


def node_of(pid: int, nodes: list[Any]) -> Any:
    """The node on which a process runs."""
    above = {parent.pid for parent in psutil.Process(pid).parents()}
    return next(node for node in nodes if above & {p.process.pid for p in node.all_processes["raylet"]})


async def lose_a_node(
    cluster: Cluster, nodes: list[Any], mock: MockServer, rig: Rig, stage: StageName, share: float
) -> None:
    store = rig.store()
    run_id = await rig.submit(store, mock.base_url, BY_TASKS)
    async with following(store, run_id) as viewer:
        async with driven_here(Scene(rig, store, run_id, viewer, stage)):
            await viewer.until_share(stage, BY_TASKS.of(stage), share)
            node = node_of(await workers_on(stage), nodes)
            safe = safe_items(viewer.log)
            await asyncio.to_thread(cluster.remove_node, node, allow_graceful=False)
        await viewer.until_ended()
    calls = await check_run(store, run_id, BY_TASKS, viewer.log, safe)
    check_calls(calls, mock.stats(), BY_TASKS, stage, IN_FLIGHT)
    await store.close()


def main(redis_url: str, stage: str, share: str) -> None:
    with ExitStack() as stack:
        mock = stack.enter_context(MockServer(MockOptions(latency_s=LATENCY_S, jitter=JITTER)))
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **NODE})
        stack.callback(cluster.shutdown)
        nodes = [cluster.add_node(num_cpus=2, **NODE) for _ in range(2)]
        ray.init(address=cluster.address, namespace="flair", log_to_driver=False, configure_logging=False)
        stack.callback(ray.shutdown)
        asyncio.run(lose_a_node(cluster, nodes, mock, Rig(redis_url), StageName(stage), float(share)))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
