"""The loop from results back: what was learned from posts, put into the next run's order.

The text is made once, when a run is ordered, and kept in its spec: a run that is resumed is told what it was told at
first, whatever has been posted since. Under ``LEAST_POSTS`` it is empty, and every prompt is what it would be without.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from flair_ray.domain.insights import Insights, PatternResult, insights
from flair_ray.domain.posts import Post
from flair_ray.domain.runs import Feedback
from flair_ray.engine.order import Order
from flair_ray.errors import ArchiveUnavailable
from flair_ray.ports import Records
from flair_ray.prompts import FEEDBACK_NAMES, feedback_prompt, fence

BEST, WORST = 4, 3
"""Patterns that are told, of those that did best and of those that did worst."""
LABEL_CHARS = 80
UNREAD = "Results of earlier runs could not be read: this run was made without them."


async def with_lessons(order: Order, records: Records) -> Order:
    """The order, and what the posts of its session have taught. Posts that cannot be read do not stop a run."""
    try:
        posts = await records.posts_of(order.session_id)
    except ArchiveUnavailable:
        return replace(order, remarks=(*order.remarks, UNREAD))
    return replace(order, feedback=await asyncio.to_thread(feedback, posts)) if posts else order


async def learned(
    records: Records, session_id: str | None = None, may_see: Callable[[str], bool] = lambda _: True
) -> Insights:
    """What the posts of one session, or of all of them, have taught; of those that one ``may_see``."""
    posts = [post for post in await records.posts_of(session_id) if may_see(post.session_id)]
    return await asyncio.to_thread(insights, posts)


def feedback(posts: Sequence[Post]) -> Feedback:
    """What S3 and S4 are to be told; bounded, however many posts there are."""
    found = insights(posts)
    if not found.hook_types:
        return Feedback()
    patterns, number = found.top_patterns, found.total_videos_tracked
    best = _lines((*found.hook_types[:BEST], *patterns[:BEST]))
    worst = _lines(patterns[max(BEST, len(patterns) - WORST) :])
    s3, s4 = map(feedback_prompt, FEEDBACK_NAMES)
    return Feedback(
        s3=s3.format(posts=number, results=fence("results", "\n".join(filter(None, (best, worst))))),
        s4=s4.format(posts=number, panel=_panel(found), results=fence("results", best)),
    )


def _lines(results: Iterable[PatternResult]) -> str:
    return "\n".join(
        f"- {' '.join(r.pattern.split())[:LABEL_CHARS]}: {r.lift:.2f} ({r.interval[0]:.2f} to {r.interval[1]:.2f}), "
        f"{r.n} script{'' if r.n == 1 else 's'}"
        for r in results
    )


def _panel(found: Insights) -> str:
    if found.prediction_accuracy is None or found.interval is None:
        return "Whether panels like yours see it as they do is not known yet."
    low, high = found.interval
    return (
        "Of two of them, a panel like yours had put the one that did better first in "
        f"{found.prediction_accuracy:.0%} of cases ({low:.0%} to {high:.0%}, {found.n} scripts; a coin has 50%)."
    )
