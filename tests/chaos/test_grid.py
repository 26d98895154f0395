"""Kill one thing, in the middle of one stage, and count: victim × stage × how far the stage had come.

    start ─▶ wait until 25, 50 or 75 % is recorded ─▶ note what is safe ─▶ kill ─▶ wait for the end ─▶ count

The run completes by itself, or by the next driver; what was recorded is never asked again, and at most the calls in
flight at the kill are repeated; every item has one outcome and one event; a viewer misses nothing and sees nothing
twice (``invariants.py``). ``make test`` runs the four in ``QUICK``, ``make test-all`` each victim in every other stage,
``make chaos`` each in every stage, once, ``CHAOS=full make chaos`` the whole grid.
"""

from __future__ import annotations

import os
from itertools import product

import pytest

from flair_ray.domain.ids import StageName
from flair_ray.testing.mock_server import MockServer
from tests.chaos.following import following
from tests.chaos.invariants import check_calls, check_run, safe_items
from tests.chaos.rig import MAPS, Rig
from tests.chaos.victims import VICTIMS, Scene

Cell = tuple[str, StageName, float]

SHARES = (0.25, 0.5, 0.75)
GRID: list[Cell] = list(product(VICTIMS, MAPS, SHARES))
QUICK: list[Cell] = [
    ("driver", StageName.S1, 0.5),
    ("worker", StageName.S4, 0.25),
    ("resident", StageName.S6, 0.5),
    ("limiter", StageName.S3, 0.5),
]


def cells() -> list[object]:
    """The grid or a sample of it; all but the quick ones are long."""
    wanted, meetings = os.environ.get("CHAOS"), list(product(VICTIMS, MAPS))
    chosen = GRID
    if wanted != "full":  # another share at each meeting
        chosen = [(*meeting, SHARES[n % len(SHARES)]) for n, meeting in enumerate(meetings)]
    if not wanted:
        chosen = [cell for n, cell in enumerate(chosen) if (n + n // len(MAPS)) % 2]
    long = [cell for cell in chosen if cell not in QUICK]
    named = [(QUICK, []), (long, [pytest.mark.long])]
    return [
        pytest.param(*cell, marks=marks, id=f"{cell[0].replace(' ', '-')}-{cell[1].value}-{cell[2]:.0%}")
        for some, marks in named
        for cell in some
    ]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("name", "stage", "share"), cells())
async def test_a_kill_costs_what_was_in_flight_and_nothing_else(
    our_ray: None, rig: Rig, mock: MockServer, name: str, stage: StageName, share: float
) -> None:
    victim = VICTIMS[name]
    store = rig.store()
    run_id = await rig.submit(store, mock.base_url, victim.sizes, hosted=victim.hosted)
    try:
        async with following(store, run_id) as viewer:
            async with victim.stage(Scene(rig, store, run_id, viewer, stage)) as kill:
                await viewer.until_share(stage, victim.sizes.of(stage), share)
                safe = safe_items(viewer.log)
                await kill()
            await viewer.until_ended()
        calls = await check_run(store, run_id, victim.sizes, viewer.log, safe)
        check_calls(calls, mock.stats(), victim.sizes, stage, victim.most)
    finally:
        await store.close()
