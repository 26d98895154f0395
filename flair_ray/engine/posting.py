"""A post comes in: checked against its run, kept for good, and told to the personas who had voted on it.

All of it may be repeated: the same post replaces itself, and a persona is scored once per run and script. What a post
teaches is copied from its run, which Redis forgets sooner than results come in; the run itself is read from the archive
then. Only its voters are gone by that time and remain unscored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from flair_ray.domain.ids import RunId, ScriptId
from flair_ray.domain.insights import ballot_agreement, outcomes
from flair_ray.domain.personas import PersonaKey, ballots_by_key
from flair_ray.domain.posts import Post
from flair_ray.domain.runs import RunStatus
from flair_ray.engine.past import AllRuns
from flair_ray.errors import RunConflict, ScriptNotFound
from flair_ray.inputs.posts import PostBody
from flair_ray.ports import Panel

Ballots = Mapping[PersonaKey, tuple[ScriptId, ...]]


async def report_post(body: PostBody, runs: AllRuns, panel: Panel, now_ms: int) -> Post:
    """Keep a post. Raises RunNotFound, ScriptNotFound, and RunConflict where the run is not completed."""
    run_id, script_id = RunId(body.run_id), ScriptId(body.script_id)
    summary = await runs.summary(run_id)
    if summary["status"] != RunStatus.COMPLETED:
        raise RunConflict(f"Run {run_id} is {summary['status']}: its scripts are not ranked yet.")
    result = await runs.live(run_id)
    document = result.document() if result else await runs.document(run_id)
    rank = next((row["rank"] for row in document["ranking"]["rows"] if row["script_id"] == script_id), None)
    if rank is None:
        raise ScriptNotFound(f"Run {run_id} has no script {script_id!r}. Its result and its ranking name them.")
    post = Post(
        run_id=run_id,
        script_id=script_id,
        session_id=summary["session_id"],
        posted_at_ms=now_ms,
        rank=rank,
        pattern_used=next(s["pattern_used"] for s in document["scripts"] if s["script_id"] == script_id),
        **body.facts(),
    )
    await runs.archive.records.keep_post(post)
    if result:  # how its voters voted is known
        ballots = ballots_by_key(result.personas, result.ballots, summary["session_id"])
        await _score(panel, ballots, post, await runs.archive.records.posts(run_id))
    return post


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
