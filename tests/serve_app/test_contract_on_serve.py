"""The contract on a real Serve: `flair serve` with its Ray, its run hosts and its proxy, one for all rows.

Every row of the modules below that needs nothing but a client, and Redis to look into, is run again as it stands. What
patches this process, or brings settings of its own, takes other fixtures and stays with the server in this process; so
does what ``STAYS`` names.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from inspect import signature

import httpx2
import pytest

from tests.conftest import serving_redis
from tests.docs.conftest import serving
from tests.serve_app import (
    test_contract,
    test_front_door,
    test_hostile,
    test_openapi,
    test_pages,
    test_performance,
    test_streams,
    test_videos,
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
MODULES = (
    test_contract,
    test_front_door,
    test_hostile,
    test_openapi,
    test_pages,
    test_performance,
    test_streams,
    test_videos,
)
CLIENTS = {"api", "quiet_api"}
FIXTURES = {*CLIENTS, "started", "store", "redis_url", "hosts", "done"}
STAYS = {
    "test_a_run_is_cancelled_and_recovered",
    "test_an_end_that_was_recovered_from_is_history",
    "test_a_run_that_is_not_completed_has_no_video",
    "test_an_order_waits_for_a_host_and_its_file_is_not_there_yet",
    "test_a_run_under_way_takes_no_posts",
    "test_health_names_the_part_that_fails",
}
"""Needs hosts that sleep, or cannot be reached."""
STAYS |= {
    "test_a_run_that_somebody_drives_is_not_recovered",
    "test_a_run_under_way_is_cancelled_and_deleted",
    "test_a_run_whose_driver_died_is_deleted_when_its_lease_ends",
    "test_a_viewer_who_reads_slowly_loses_nothing",
    "test_many_viewers_are_one_reader",
    "test_twelve_posts_teach_and_the_next_run_is_told",
}
"""Needs a run that nobody else drives, a Redis that nobody else reads, or a studio without posts."""
STAYS |= {"test_an_id_that_could_be_something_else_is_not_taken", "test_what_is_no_http_harms_nobody"}
"""Is answered, or its header set, by Serve or its proxy before it is with us."""
STAYS |= {"test_from_a_script_to_a_video_that_a_browser_can_seek_in"}
"""Is drawn small there; ``test_real_serve`` draws one in full size."""


def rows() -> Iterator[tuple[str, object]]:
    for module in MODULES:
        for name, row in vars(module).items():
            if name.startswith("test_") and callable(row) and name not in STAYS:
                marks = getattr(row, "pytestmark", [])
                given = {arg.strip() for m in marks if m.name == "parametrize" for arg in _names(m.args[0])}
                needs = signature(row).parameters.keys() - given
                if needs & CLIENTS and needs <= FIXTURES:
                    yield name, row


def _names(arguments: str | tuple[str, ...]) -> list[str]:
    return arguments.split(",") if isinstance(arguments, str) else list(arguments)


globals().update(rows())
done = test_performance.done


class Awake:
    """Hosts that are at work all the time."""

    def wake(self) -> None:
        pass


@pytest.fixture
def hosts() -> Awake:
    return Awake()


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of our own: the hosts would take up the runs of other tests."""
    with serving_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="module")
def address(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("studio")
    env = os.environ | {"FLAIR_REDIS_URL": redis_url, "FLAIR_DATA_DIR": str(folder / "data")}
    with serving(env, folder) as (url, _):
        yield url


@pytest.fixture
async def api(address: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=address, timeout=60) as client:
        yield client


@pytest.fixture
def quiet_api(api: httpx2.AsyncClient) -> httpx2.AsyncClient:
    return api
