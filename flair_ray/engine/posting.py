"""A post comes in: checked against its run, kept for good, and told to the personas who had voted on it.

All of it may be repeated: the same post replaces itself, and a persona is scored once per run and script. What a post
teaches is copied from its run, which Redis forgets sooner than results come in; the run itself is read from the archive
then. Only its voters are gone by that time and remain unscored.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flair_ray.domain.ids import RunId, ScriptId
from flair_ray.domain.insights import ballot_agreement, outcomes
from flair_ray.domain.personas import PersonaKey, ballots_by_key
from flair_ray.domain.posts import Post
from flair_ray.domain.runs import RunStatus
from flair_ray.engine.archive import Archive
from flair_ray.engine.results import gather_result
from flair_ray.errors import RunConflict, RunNotFound, ScriptNotFound
from flair_ray.inputs.posts import PostBody
from flair_ray.ports import Panel, RunStore
from flair_ray.result import RunResult

Ballots = Mapping[PersonaKey, tuple[ScriptId, ...]]


@dataclass(frozen=True, slots=True)
class RankedRun:
    """What a post has to fit, and what it takes with it."""

    session_id: str
    status: RunStatus
    places: Mapping[ScriptId, tuple[int, str]] = field(default_factory=dict)
    """Rank and pattern of every script."""
    ballots: Ballots = field(default_factory=dict)


async def report_post(body: PostBody, store: RunStore, archive: Archive, panel: Panel, now_ms: int) -> Post:
    """Keep a post. Raises RunNotFound, ScriptNotFound, and RunConflict where the run is not completed."""
    run_id, script_id = RunId(body.run_id), ScriptId(body.script_id)
    run = await ranked_run(run_id, store, archive)
    if run.status is not RunStatus.COMPLETED:
        raise RunConflict(f"Run {run_id} is {run.status.value}: its scripts are not ranked yet.")
    if script_id not in run.places:
        raise ScriptNotFound(f"Run {run_id} has no script {script_id!r}. Its result and its ranking name them.")
    rank, pattern = run.places[script_id]
    post = Post(
        run_id=run_id,
        script_id=script_id,
        session_id=run.session_id,
        posted_at_ms=now_ms,
        rank=rank,
        pattern_used=pattern,
        **body.facts(),
    )
    await archive.records.keep_post(post)
    await _score(panel, run.ballots, post, await archive.records.posts(run_id))
    return post


async def ranked_run(run_id: RunId, store: RunStore, archive: Archive) -> RankedRun:
    """The run, from Redis or from the archive. Raises RunNotFound."""
    try:
        return _from_result(await gather_result(store, run_id))
    except RunNotFound:
        record = await archive.records.run(run_id)
        content = await archive.files.get(run_id, "result.json") if record else None
        if record is None or content is None:
            raise
    document = json.loads(content)
    patterns = {script["script_id"]: script["pattern_used"] for script in document["scripts"]}
    rows = (document["ranking"] or {"rows": ()})["rows"]
    places = {row["script_id"]: (row["rank"], patterns[row["script_id"]]) for row in rows}
    return RankedRun(record.session_id, record.status, places)


def _from_result(result: RunResult) -> RankedRun:
    places = {row.script_id: (row.rank, row.pattern_used) for row in result.table()}
    ballots = ballots_by_key(result.personas, result.ballots)
    return RankedRun(result.spec.session_id, result.status, places, ballots)


async def _score(panel: Panel, ballots: Ballots, post: Post, posts: Sequence[Post]) -> None:
    """How well each voter had placed what was posted, among what else the run has on this platform.

    The first script has nothing to be compared with until the second one comes: then both are.
    """
    seen = [o for o in outcomes(posts) if o.platform == post.platform]
    ripe = [o for o in seen if len(seen) == 2 or o.script_id == post.script_id]
    scores = [
        (key, o.script_id, agreed)
        for o in ripe
        for key, top in ballots.items()
        if o.script_id in top and (agreed := ballot_agreement(top, o, seen)) is not None
    ]
    await asyncio.gather(*(panel.scored(key, post.run_id, script_id, agreed) for key, script_id, agreed in scores))
