"""A driver in a process of its own, to be killed: ``python -m tests.chaos.drive REDIS_URL RAY_ADDRESS VERSION RUN_ID``.

Leaves with 0 when the run has ended, and with 75 when another driver has taken it over.
"""

from __future__ import annotations

import asyncio
import sys

import ray

from flair_ray.domain.ids import RunId
from flair_ray.errors import LeaseLost, RunConflict
from tests.chaos.rig import Rig

FENCED = 75


async def main(redis_url: str, version: str, run_id: RunId) -> int:
    rig = Rig(redis_url, version)
    store = rig.store()
    try:
        await rig.driver(store, run_id).drive(run_id)
    except (LeaseLost, RunConflict):
        return FENCED
    finally:
        await store.close()
    return 0


if __name__ == "__main__":
    redis_url, address, version, run_id = sys.argv[1:]
    ray.init(address=address, namespace="flair", log_to_driver=False, configure_logging=False)
    code = asyncio.run(main(redis_url, version, RunId(run_id)))
    ray.shutdown()
    sys.exit(code)
