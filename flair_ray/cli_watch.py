"""A run that this process carries out, before the eyes of whoever waits for it."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from flair_ray.domain.events import TERMINAL, Event
from flair_ray.errors import RunInterrupted, StoreUnavailable

if TYPE_CHECKING:
    from flair_ray.config import Settings
    from flair_ray.domain.ids import RunId
    from flair_ray.ports import RunStore
    from flair_ray.result import RunResult
    from flair_ray.terminal.plain import View
    from flair_ray.wiring import Studio


def heed_sigterm() -> None:
    """SIGTERM ends the command like Ctrl-C does: closing what it opened."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  # called from coroutines only
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def shown(
    studio: Studio,
    run_id: RunId,
    settings: Settings,
    out_dir: Path | None,
    view: View,
    begun_s: float,
    *,
    join: bool = False,
) -> RunResult:
    """Carry a run out before the eyes of whoever waits. Raises RunInterrupted when told to stop."""
    from flair_ray.api import carry_out

    heed_sigterm()  # again: Ray has put its own handler in place, which aborts
    costs = asyncio.create_task(_report_costs(studio.store, run_id, view))
    ending: list[Event] = []

    def tell(event: Event) -> None:
        if ending:
            view(ending.pop())  # more came after it: it was the end of an earlier attempt
        ending.append(event) if event.name in TERMINAL else view(event)

    try:
        with redirect_stdout(sys.stderr):  # what Ray has to say of a dead worker is no part of the result
            result = await carry_out(studio, run_id, settings, out_dir, tell, begun_s, join=join)
    except asyncio.CancelledError:
        raise RunInterrupted(run_id) from None
    except StoreUnavailable as error:
        raise StoreUnavailable(f"{error} `flair resume {run_id}` goes on with this run.", run_id) from error
    finally:
        costs.cancel()
        await asyncio.wait({costs})
    view.report(str(result.cost), result.tally)
    for event in ending:
        view(event)
    return result


async def _report_costs(store: RunStore, run_id: RunId, view: View) -> None:
    """Tell the view what the run has cost, about once a second: spend is a counter, not an event."""
    from flair_ray.engine.results import cost_of

    while True:
        snapshot = await store.snapshot(run_id)
        view.report(str(cost_of(snapshot)), snapshot.tally)
        await asyncio.sleep(1)
