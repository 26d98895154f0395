"""`flair submit`: a run for a cluster, as a job of its job server or for its run hosts.

A job is the line that one would give to `ray job submit`, with the files that it names. Nothing else travels: the code
is the cluster's own, installed on its nodes, and so are keys and settings. To hosts a run is handed in through Redis.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flair_ray.cli_options import Given, as_words
from flair_ray.domain.ids import RunId, given_run_id, new_run_id
from flair_ray.inputs import copy_videos

if TYPE_CHECKING:
    from flair_ray.config import Settings
    from flair_ray.engine.order import Order

COLLECTIONS, FILES = ("videos", "own_videos"), ("profile", "personas")
Say = Callable[[str], None]


def is_job_server(address: str) -> bool:
    """Whether this is a dashboard's address, and not where nodes join."""
    return address.startswith(("http://", "https://"))


async def to_hosts(order: Order, settings: Settings, address: str, run_id: str | None) -> RunId:
    """The run, recorded for the hosts of the cluster."""
    from flair_ray.api import submit
    from flair_ray.wiring import open_hosts

    async with open_hosts(settings, address) as hosts:
        recorded = await submit(hosts.store, order, settings, run_id, hosted=True)
        await hosts.nudge()
        return recorded


async def to_job_server(
    given: Given, address: str, run_id: str | None, say: Say, tell: Say | None
) -> tuple[RunId, str, int | None]:
    """The ids of the run and of its job, which runs `flair run`; and how that ended, where it is to be told."""
    from flair_ray.engine.ray_jobs import JobServer

    name = given_run_id(run_id) if run_id else new_run_id()
    server = await asyncio.to_thread(JobServer, address)
    with tempfile.TemporaryDirectory(prefix="flair-submit-") as temporary:
        there = await asyncio.to_thread(_packed, given, Path(temporary))
        words = ["flair", "run", "--run-id", name, *as_words(there)]
        job_id = await asyncio.to_thread(server.submit, name, words, Path(temporary) if there != given else None)
    say(f"run {name} is job {job_id} at {address}; it goes on without this command.")
    if tell is None:
        return name, job_id, None
    try:
        return name, job_id, await server.follow(job_id, tell)
    except asyncio.CancelledError:
        say(
            f"the job goes on. `ray job logs --follow --address {address} {job_id}` follows it, `ray job stop` ends it."
        )
        raise


def _packed(given: Given, folder: Path) -> Given:
    """The options as they are there: a copy of each file that they name is in ``folder``."""
    there = dict(given)
    for name in COLLECTIONS:
        if given[name]:
            (folder / name).mkdir()
            there[name] = copy_videos(given[name], folder / name).relative_to(folder)
    for name in FILES:
        if given[name]:
            there[name] = Path(name + given[name].suffix)
            shutil.copyfile(given[name], folder / there[name])
    return there
