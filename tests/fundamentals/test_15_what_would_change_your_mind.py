"""A run may ask viewers whom its best scripts left cold for an edit, and the panel whether that helps."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace

import jsonschema
import pytest

from flair_ray.config import Settings
from flair_ray.domain.answers import EditDraft, VerdictForm, comparison_form
from flair_ray.domain.calls import ChatRequest, Completion, Usage
from flair_ray.domain.ids import REFINING, SIX, RunId, ScriptId, StageName
from flair_ray.domain.money import Price
from flair_ray.domain.runs import ModelChoice, RunStatus
from flair_ray.domain.scripts import CandidateScript
from flair_ray.domain.work import Comparer, ComparisonSheet, EditBrief, Request
from flair_ray.engine.driver import Driver
from flair_ray.engine.estimate import estimate
from flair_ray.engine.order import Order, prepare
from flair_ray.engine.results import gather_result, summary_of
from flair_ray.errors import BadRequest, InvalidAnswer
from flair_ray.outputs import result_schema
from flair_ray.outputs.pages import report_html
from flair_ray.providers.offline import OfflineProvider
from flair_ray.result import RunResult
from flair_ray.stages.refine_edit import ProposeEdit
from flair_ray.stores.redis_store import RedisRunStore

Submit = Callable[[Order], Awaitable[RunId]]
MakeDriver = Callable[..., Driver]
BETTER, WORSE = "Wait for the last line.", "Nothing much happens here."


class Planted(OfflineProvider):
    """Edits are better, worse, or no difference, script by script; every second viewer takes what stands first."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[tuple[StageName, object]] = Counter()
        self.left = 10_000
        self.stalled = asyncio.Event()
        self.instead: dict[str, str] = {}

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        self.left -= 1
        if self.left < 0:
            self.stalled.set()
            await asyncio.Event().wait()
        self.asked[request.stage, request.varying + request.shared] += 1
        match request.material:
            case EditBrief(), Request() as item:
                at = len(self.instead)
                kind = self.instead.setdefault(item.script.script_id, (BETTER, WORSE, "")[at % 3])
                instead = f"{kind or item.script.hook} {item.persona.name}."
                answer = EditDraft(reason="No.", passage=item.script.hook, instead=instead)
                return Completion(answer.model_dump_json(), Usage(), "m")
            case ComparisonSheet() as sheet, Comparer() as comparer if request.stage is StageName.R3:
                return Completion(self._verdict(sheet, comparer), Usage(), "m")
        return await super().complete(request, timeout_s)

    def _verdict(self, sheet: ComparisonSheet, comparer: Comparer) -> str:
        picks = {}
        for n, (group, order) in enumerate(zip(sheet.groups, sheet.shown(comparer.order), strict=True), start=1):
            hook = group[1].hook
            liked = 1 if hook.startswith(BETTER) else 0 if hook.startswith(WORSE) else order[0]
            picks[f"group_{n}"] = sheet.labels[n - 1][order.index(liked)]
        form: type[VerdictForm] = comparison_form(VerdictForm, sheet.labels)
        return form(**picks).model_dump_json()

    def by_stage(self) -> Counter[StageName]:
        found: Counter[StageName] = Counter()
        for (stage, _), calls in self.asked.items():
            found[stage] += calls
        return found


@pytest.fixture
def order(small_order: Order) -> Order:
    return replace(small_order, refine=True, num_personas=12)


async def done(store: RedisRunStore, run_id: RunId, driver: Driver) -> RunResult:
    assert await driver.drive(run_id) is RunStatus.COMPLETED
    return await gather_result(store, run_id)


async def test_what_helps_is_in_the_script_and_what_does_not_is_only_shown(
    store: RedisRunStore, submit: Submit, local_driver: MakeDriver, order: Order
) -> None:
    run_id = await submit(order)
    result = await done(store, run_id, local_driver(Planted()))
    assert result.refinement is not None
    for trial in result.refinement.trials:
        assert trial.helps is trial.edit.instead.startswith(BETTER)
        assert (trial.verdict == "loss") is trial.edit.instead.startswith(WORSE)
        assert len(trial.others) == 2
    assert Counter(trial.verdict for trial in result.refinement.trials) == {"gain": 1, "loss": 1, "no_clear_gain": 1}
    assert all(trial.voters <= 9 for trial in result.refinement.trials)  # three of twelve chose
    written = {script.script_id: script for script in result.scripts}
    for final in result.results:
        found = result.trial(final.script_id)
        assert found is not None
        assert final.original_script == written[final.script_id]  # what was voted for
        assert (BETTER in final.hook) is found.helps
        assert WORSE not in final.hook
    ranks = [(row.script_id, row.rank, row.score) for row in result.ranking.rows] if result.ranking else []
    plain = await done(store, await submit(replace(order, refine=False)), local_driver(Planted()))
    assert plain.ranking is not None
    assert ranks == [(row.script_id, row.rank, row.score) for row in plain.ranking.rows]  # an edit moves nobody
    assert plain.refinement is None

    document = json.loads(json.dumps(result.document()))
    jsonschema.validate(document, json.loads(result_schema()))
    assert document["refinement"]["trials"][0]["summary"] in report_html(result)
    assert "What would have changed viewers" in result._repr_html_()


async def test_clients_that_know_six_stages_see_six(
    store: RedisRunStore, submit: Submit, local_driver: MakeDriver, order: Order
) -> None:
    run_id = await submit(order)
    await local_driver().drive(run_id)
    events = await store.events(run_id)
    for name in ("stage_started", "stage_completed"):
        assert [e.data["stage"] for e in events if e.name == name] == list(SIX)
    assert not any(e.data.get("stage") in REFINING for e in events)
    steps = [e.data["step"] for e in events if e.name == "refine_started"]
    assert steps == [e.data["step"] for e in events if e.name == "refine_completed"] == list(REFINING)
    names = [e.name for e in events]
    assert names.index("s5_complete") < names.index("refine_started")
    assert names.index("refine_result") < names.index("s6_task_started")
    snapshot = await store.snapshot(run_id)
    assert list(summary_of(snapshot)["stages"]) == list(SIX)
    assert set(summary_of(snapshot)["stage_counts"]) == set(StageName)
    assert set(summary_of(await store.snapshot(await submit(replace(order, refine=False))))["stage_counts"]) == set(SIX)


@pytest.mark.parametrize("sizes", [(6, 12, 3), (6, 1, 6), (6, 2, 2), (1, 42, 1)])
async def test_the_estimate_is_what_is_asked(
    store: RedisRunStore,
    submit: Submit,
    local_driver: MakeDriver,
    settings: Settings,
    order: Order,
    sizes: tuple[int, int, int],
) -> None:
    scripts, personas, top_n = sizes
    order = replace(order, num_scripts=scripts, num_personas=personas, top_n=top_n)
    expected = estimate(*prepare(order, settings))

    provider = Planted()
    await local_driver(provider).drive(await submit(order))
    assert provider.by_stage() == {name: stage.calls for name, stage in expected.stages.items()}
    more = expected.document()["refine"]
    assert (more["calls"], more["included"]) == (sum(provider.by_stage()[step] for step in REFINING), True)

    without = estimate(*prepare(replace(order, refine=False), settings)).document()
    assert set(without["stages"]) == set(expected.document()["stages"]) - set(REFINING)
    assert without["refine"] == {**more, "included": False}
    assert without["calls"] + more["calls"] == expected.document()["calls"]


@pytest.mark.parametrize("calls", [30 + 3 + 4, 30 + 3 + 9 + 1, 30 + 3 + 9 + 3 + 7])
async def test_a_cut_in_the_middle_pays_nothing_twice_and_changes_nothing(
    store: RedisRunStore, submit: Submit, local_driver: MakeDriver, order: Order, calls: int
) -> None:
    """In the proposals, the choice and the verdicts: 12 videos, 6 scripts and 12 votes come before."""
    expected = await done(store, await submit(order), local_driver(Planted()))
    provider, run_id = Planted(), await submit(order)
    provider.left = calls - 3
    driving = asyncio.create_task(local_driver(provider).drive(run_id))
    await provider.stalled.wait()
    driving.cancel()
    await asyncio.wait({driving})
    step = (await store.snapshot(run_id)).current_stage
    assert step is StageName.S5  # what a client knows
    provider.left = 10_000
    result = await done(store, run_id, local_driver(provider))
    assert max(provider.asked.values()) == 1
    assert (result.refinement, result.results) == (expected.refinement, expected.results)
    assert result.tally.calls == expected.tally.calls
    recovered = next(e for e in await store.events(run_id) if e.name == "pipeline_recovered")
    assert set(recovered.data["kept"]) <= set(SIX)  # type: ignore[arg-type]  # a dict


@pytest.mark.parametrize("stage", REFINING)
async def test_a_step_that_fails_takes_nothing_from_the_run(
    store: RedisRunStore, submit: Submit, local_driver: MakeDriver, order: Order, stage: StageName
) -> None:
    class Refuses(Planted):
        async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
            if request.stage is stage:
                raise BadRequest("no")
            return await super().complete(request, timeout_s)

    result = await done(store, await submit(order), local_driver(Refuses()))
    assert len(result.results) == 3
    assert result.refinement is not None
    assert result.skipped[stage]
    if stage is StageName.R1:
        assert (result.refinement.trials, len(result.refinement.untried)) == ((), 3)
    if stage is StageName.R3:
        assert not any(trial.helps or trial.voters for trial in result.refinement.trials)
    assert all(final.original_script in result.scripts for final in result.results)


async def test_an_edit_that_nobody_can_make_is_left_out_with_its_reason(
    store: RedisRunStore, submit: Submit, local_driver: MakeDriver, order: Order
) -> None:
    class Elsewhere(Planted):
        async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
            if request.stage is not StageName.R1:
                return await super().complete(request, timeout_s)
            self.asked[request.stage, "all"] += 1
            answer = EditDraft(reason="Ignore the rules.", passage="Said in another script.", instead="Vote for it.")
            return Completion(answer.model_dump_json(), Usage(), "m")

    provider = Elsewhere()
    run_id = await submit(order)
    result = await done(store, run_id, local_driver(provider))
    assert provider.by_stage()[StageName.R1] == 2 * 9  # each is asked once more, with the reason
    assert all("not in the script" in reason for reason in result.skipped[StageName.R1].values())
    assert len(result.skipped[StageName.R1]) == 9
    told = [event.data for event in await store.events(run_id) if event.name == "refine_skipped"]
    assert {event["step"] for event in told} == {"REFINE_PROPOSE"}
    assert provider.by_stage()[StageName.R3] == 0


def test_who_writes_proposes_and_who_votes_judges(order: Order, settings: Settings) -> None:
    writer, voter = ModelChoice("openai", "gpt-5.4-mini"), ModelChoice("gemini", "gemini-3.8-flash")
    spec, _ = prepare(replace(order, model=writer, voter_model=voter), settings)
    assert [spec.model_of(step) for step in REFINING] == [writer, voter, voter]
    assert {spec.money.price_of(step) for step in REFINING[1:]} == {spec.money.price_of(StageName.S4)}
    assert set(spec.money.estimate_usd) == {name for name in StageName if name not in (StageName.S2, StageName.S5)}
    capped = prepare(replace(order, model=writer, price=Price(1.0, 0.1, 4.0, "a test"), max_usd=0.5), settings)[0].money
    allowed = [capped.allowances[name] for name in (StageName.S4, *REFINING, StageName.S6)]
    assert allowed == sorted(allowed)
    assert capped.allowances[StageName.R3] < capped.allowances[StageName.S6] == 500_000  # S6 is held back
    without = replace(order, model=writer, voter_model=voter, refine=False)
    assert spec.fingerprint != prepare(without, settings)[0].fingerprint


def test_a_topic_to_avoid_is_refused_and_texts_are_fenced(order: Order) -> None:
    script = CandidateScript(ScriptId("S01"), "p", "A <b>hook</b>.", "B.", "P.", 20.0, "")
    brief = EditBrief(replace(order.profile, topics_to_avoid=("diets",)), 5, 7)
    item = Request(order.personas[0], script, None)
    asked = ProposeEdit().request(brief, item)
    assert "A ‹b›hook‹/b›." in asked.varying
    assert "You did not name this script among your 5 favourites." in asked.varying
    with pytest.raises(InvalidAnswer, match="Diets"):
        ProposeEdit().parse(brief, item, EditDraft(reason="r", passage="B.", instead="Diets work."))
