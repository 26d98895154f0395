"""`flair serve` as people start it, killed in the middle of a run and started again, while a page looks on."""

from __future__ import annotations

from contextlib import suppress

import psutil
import pytest
from playwright.async_api import expect

from tests.browser.conftest import SESSION, Open, state_of
from tests.serve_app.conftest import BODY
from tests.serve_app.reading import watch
from tests.serve_app.test_real_serve import Flair, flair_serve  # noqa: F401  # a fixture

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


async def test_a_page_outlives_a_studio_that_is_killed(flair_serve: Flair, opened: Open) -> None:  # noqa: F811
    with suppress(AssertionError, ProcessLookupError):  # the studio does not end as it ought to
        async with flair_serve() as client:
            address, port = str(client.base_url).rstrip("/"), client.base_url.port
            large = BODY | {"num_videos": 120, "num_scripts": 100, "num_personas": 100}
            start = await client.post(f"/api/pipeline/start?session_id={SESSION}", json=large)
            run_id = start.json()["run_id"]
            page = await opened(f"{address}/#/runs/{run_id}")
            await page.locator('#tiles [data-state="done"]').first.wait_for()
            assert (await state_of(page))["status"] == "running"
            next(process for process in psutil.Process().children() if "flair_ray.cli" in process.cmdline()).kill()
            await expect(page.locator(".hero .chip")).to_have_text("Reconnecting …")
    assert port
    async with flair_serve(port) as client:
        end = (await watch(client, run_id))[-1]
        assert end["event"] == "pipeline_complete"
        seen = await state_of(page, end["id"])
        late = await opened(f"{address}/#/runs/{run_id}")
        assert await state_of(late, end["id"]) == seen
        await expect(page.get_by_role("heading", level=1)).to_have_text("Your scripts are ready")
