"""The page's reducer, in the browser that runs it, over logs of real runs; the terminal's view is its oracle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.async_api import Page

from flair_ray.domain.events import Event
from flair_ray.domain.ids import SIX, RunId, StageName
from flair_ray.errors import BadRequest
from flair_ray.stores.redis_store import RedisRunStore
from flair_ray.terminal.progress import RunProgress
from tests.browser.conftest import Model, Open, come_to_rest

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]
Started = Callable[..., Awaitable[str]]

PREPARE = """async (log) => {
  Object.assign(globalThis, await import("/web/-/js/state.js"), { log });
  const freeze = (value) => {
    if (value === null || typeof value !== "object" || Object.isFrozen(value)) return value;
    Object.values(value).forEach(freeze);
    return Object.freeze(value);
  };
  const step = (state, message) => freeze(reduce(state, message));
  globalThis.fold = (messages) => messages.reduce(step, freeze(initial()));
}"""
EACH = """(nows) => {
  let state = initial();
  return log.map((message, i) => {
    state = reduce(state, message);
    return {
      status: state.status, error: state.error, elapsed: elapsedMs(state, nows[i]), eta: etaMs(state, nows[i]),
      stages: STAGES.map((name) => [state.stages[name].status, state.stages[name].completed, state.stages[name].total,
        state.stages[name].skipped, stageMs(state, name, nows[i])]),
      points: Object.entries(state.points).sort(),
    };
  });
}"""
READ = """([windows, extra]) => {
  const messages = windows.flatMap(([from, to]) => log.slice(from, to));
  for (const [at, message] of extra) messages.splice(at, 0, message);
  const [one, other] = [fold(log), fold(messages)];
  const asked = { spend: null, profile: null, createdMs: null, recovering: false, assumed: false };
  const same = (state) => JSON.stringify({ ...state, ...asked });
  return [same(one), same(other)];
}"""


@pytest.fixture
async def log(api: httpx2.AsyncClient, model: Model, store: RedisRunStore, started: Started) -> list[Event]:
    """Of a run that lost a video, failed, was resumed, was stopped in the middle of a vote, and was resumed again."""
    model.fails[StageName.S3] = BadRequest("no")
    run_id = await started(api, "log", num_videos=20)
    await come_to_rest(store, run_id, "pipeline_error")
    model.fails.clear()
    model.hold(StageName.S4, after=3)
    await api.post(f"/api/pipeline/{run_id}/recover")
    await come_to_rest(store, run_id, "vote_cast", 3)
    await api.post(f"/api/pipeline/{run_id}/cancel")
    await come_to_rest(store, run_id, "pipeline_cancelled")
    model.let()
    await api.post(f"/api/pipeline/{run_id}/recover")
    await come_to_rest(store, run_id, "pipeline_complete")
    return await store.events(RunId(run_id))


@pytest.fixture
async def reducer(opened: Open, api: httpx2.AsyncClient, log: list[Event]) -> Page:
    page = await opened(f"{api.base_url}/#/insights")
    await page.evaluate(PREPARE, [event.envelope() for event in log])
    return page


async def agree(reducer: Page, log: list[Event]) -> None:
    """After each event of the log that the page has, too."""
    nows = [event.at_ms + 700 for event in log]
    told = await reducer.evaluate(EACH, nows)
    progress = RunProgress()
    for event, now, page in zip(log, nows, told, strict=True):
        progress.apply(event)
        assert page["status"] == progress.status.value
        assert page["elapsed"] == pytest.approx(progress.elapsed_s(now) * 1000)
        eta = progress.eta_s(now)
        assert page["eta"] == (None if eta is None else pytest.approx(eta * 1000, abs=20))
        for stage, said in zip((progress.stages[name] for name in SIX), page["stages"], strict=True):
            elapsed = stage.elapsed_ms(progress.shown_ms(now))
            assert said == [stage.status, stage.completed, stage.total, len(stage.skips), elapsed]
        assert dict(page["points"]) == dict(progress.points)


async def test_it_counts_as_the_terminal_does(reducer: Page, log: list[Event]) -> None:
    await agree(reducer, log)


async def test_a_refinement_leaves_the_six_stages_as_they_are(
    opened: Open, api: httpx2.AsyncClient, store: RedisRunStore, started: Started
) -> None:
    run_id = await started(api, "refined", num_videos=12, num_scripts=4, num_personas=6, top_n=2, refine=True)
    await come_to_rest(store, run_id, "pipeline_complete")
    log = await store.events(RunId(run_id))
    page = await opened(f"{api.base_url}/#/insights")
    await page.evaluate(PREPARE, [event.envelope() for event in log])
    await agree(page, log)
    steps = await page.evaluate("""() => {
      let state = initial();
      return log.map((message) => (state = reduce(state, message)).refine).filter(Boolean)
        .map((refine) => [refine.step, refine.completed, refine.total]);
    }""")
    assert [step for step in steps if step[1] == step[2] > 0][-1][0] == "REFINE_JUDGE"
    lines = await page.evaluate("() => fold(log).log.map((line) => line.text)")
    assert any("what would change their minds" in line for line in lines)
    assert any("edits judged" in line for line in lines)


async def test_what_was_replaced_or_asked_again_counts_nowhere(opened: Open, quiet_api: httpx2.AsyncClient) -> None:
    count: dict[str, Any] = {"total_videos": 0, "total_scripts": 2, "total_personas": 2, "top_n": 1}
    told: list[tuple[str, dict[str, Any]]] = [
        ("pipeline_started", count),
        *(("s3_task_started", {"script_id": f"S0{n}"}) for n in (1, 2, 3)),
        *(("s3_progress", {"script_id": f"S0{n}", "hook": "Now", "completed": n, "total": 3}) for n in (1, 2, 3)),
        ("s3_complete", {"script_ids": ["S01", "S03"], "left_out": {"S02": "Nearly the same as S01."}}),
        ("stage_completed", {"stage": "S3_SEQUENTIAL"}),
    ]
    for n, (viewer, top) in enumerate((("p1", ["S03", "S01"]), ("p2", ["S03"]), ("p1 (asked again)", [])), start=1):
        told.append(("s4_task_started", {"persona_id": viewer, "name": viewer}))
        vote = {"persona_id": viewer, "persona_name": viewer, "top_5": top, "completed": n, "total": 3}
        told.append(("vote_cast", vote))
    told.append(("stage_completed", {"stage": "S4_MAP"}))
    log = [Event(f"{1_700_000_000_000 + 100 * n}-0", name, data) for n, (name, data) in enumerate(told)]
    page = await opened(f"{quiet_api.base_url}/#/insights")
    await page.evaluate(PREPARE, [event.envelope() for event in log])
    await agree(page, log)
    shown = await page.evaluate("""() => {
      const state = fold(log);
      const [skipped] = state.scripts.filter((script) => script.state === "skipped");
      return [leaderboard(state).map((script) => script.id), viewers(state).map((viewer) => viewer.id), state.viewers,
        [skipped.id, skipped.reason], state.log.map((line) => line.text).slice(-5)];
    }""")
    board, voters, count_of_viewers, skipped, lines = shown
    assert (board, voters, count_of_viewers) == (["S03", "S01"], ["p1", "p2"], 2)
    assert skipped == ["S02", "Nearly the same as S01."]
    assert lines == ["S03: Now", "2 scripts written.", "p1: S03, S01", "p2: S03", "2 viewers voted."]


async def test_however_a_log_is_read_the_state_is_the_same(reducer: Page, log: list[Event]) -> None:
    count = len(log)

    @st.composite
    def readings(draw: st.DrawFn) -> tuple[list[list[int]], list[list[Any]]]:
        """Windows as a viewer reads them who loses the connection, and comes back with this id or an older one."""
        windows, at = [], 0
        while at < count:
            begin = draw(st.integers(0, at))
            end = draw(st.integers(at + 1, count))
            windows.append([begin, end])
            at = end
        total = sum(end - begin for begin, end in windows)
        last = log[-1].event_id
        said = st.sampled_from(
            [
                {"event": "heartbeat", "data": {"status": "running"}, "id": "0"},
                {"event": "heartbeat", "data": {}, "id": last},
                {"event": "of_a_later_version", "data": None, "id": "0-1"},
            ]
        )
        return windows, draw(st.lists(st.tuples(st.integers(total, total + 9), said).map(list), max_size=3))

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(readings(), min_size=1, max_size=8))
    def plans(found: list[Any]) -> None:
        drawn.extend(found)

    drawn: list[Any] = []
    plans()
    for reading in drawn:
        straight, other = await reducer.evaluate(READ, list(reading))
        assert other == straight, reading


async def test_a_run_that_is_asked_about_before_and_between_changes_no_count(
    reducer: Page, api: httpx2.AsyncClient, log: list[Event]
) -> None:
    """What GET says may be older than the log, or newer."""
    detail = {"event": "run", "data": (await api.get(f"/api/runs/{log[0].data['run_id']}")).json()}
    for at in (0, 1, len(log) // 2, len(log)):
        straight, other = await reducer.evaluate(READ, [[[0, len(log)]], [[at, detail]]])
        assert other == straight


async def test_no_message_breaks_it(reducer: Page, log: list[Event]) -> None:
    junk = st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    )
    fields = sorted({name for event in log for name in event.data})
    names = st.sampled_from(sorted({event.name for event in log} | {"snapshot", "run"}))
    messages = st.tuples(names, st.dictionaries(st.sampled_from([*fields, "stages", "stage_counts"]), junk)).map(list)
    drawn: list[Any] = []

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(messages, max_size=30))
    def plans(found: list[Any]) -> None:
        drawn.append(found)

    plans()
    await reducer.evaluate(
        """(logs) => logs.map((messages) => {
          const state = fold(messages.map(([event, data], i) => ({ event, data, id: `${i + 1}-0` })));
          for (const { completed, total } of Object.values(state.stages)) {
            if (!(completed <= total)) throw Error(JSON.stringify(messages));
          }
          leaderboard(state); etaMs(state, 9); elapsedMs(state, 9);
        })""",
        drawn,
    )
