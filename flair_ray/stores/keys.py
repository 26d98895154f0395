"""Every key in Redis, in one place: who writes it, what type it has, when it goes.

All keys of a run carry the same time to live. A transition refreshes the run and its events, a record these and the
stage's results and counters, and reading results refreshes them: a run that is resumed on its last day keeps what it
had. Nothing here is found by KEYS or SCAN.
"""

from __future__ import annotations

from flair_ray.domain.ids import RunId, StageName

ROOT = "flair"


def run(run_id: RunId) -> str:
    """Hash: spec, status, stage, session, created_ms, finished_ms, error, exit_code, fence, holder, taken, cancel,
    recover, request (id of the HTTP request that handed it over), and per stage begun:<S>, total:<S>,
    grown:<S>:<total>, ended:<S>, frozen:<S> (JSON ids)."""
    return f"{ROOT}:run:{run_id}"


def events(run_id: RunId) -> str:
    """Stream, append-only: one entry per event, fields name and data (JSON)."""
    return f"{run(run_id)}:events"


def lease(run_id: RunId) -> str:
    """String with the holder's fencing token; expires when its driver stops renewing."""
    return f"{run(run_id)}:lease"


def results(run_id: RunId, fingerprint: str, stage: StageName) -> str:
    """Hash item id → stored outcome (see domain/work.py). Its length is the stage's ``completed``."""
    return f"{run(run_id)}:results:{fingerprint}:{stage.value}"


def started(run_id: RunId, stage: StageName) -> str:
    """Set of item ids whose start has been announced."""
    return f"{run(run_id)}:started:{stage.value}"


def tally(run_id: RunId, stage: StageName) -> str:
    """Hash of counters: calls, failed, retries, reasks, rejected_429, hedges, cache_hits, tokens, skipped."""
    return f"{run(run_id)}:tally:{stage.value}"


def budget(run_id: RunId) -> str:
    """Hash in micro-dollars, of runs with a cap: total (spent, reserved and unsure) and per stage reserved:<S>,
    unsure:<S>; beside them open:<S>, calls in flight, and moved:<S>, the ms when one of these last changed."""
    return f"{run(run_id)}:budget"


def reservations(run_id: RunId, stage: StageName) -> str:
    """Hash item id → JSON {owner and attempt: micro-dollars}; below zero when counted as unsure."""
    return f"{run(run_id)}:reservations:{stage.value}"


def inputs(key: str) -> str:
    """String: the RunInputs as JSON, shared by all runs with equal content."""
    return f"{ROOT}:inputs:{key}"


def all_runs() -> str:
    """Sorted set run id → creation time in ms: every run, oldest first."""
    return f"{ROOT}:runs"


def session_runs(session_id: str) -> str:
    """The same for one session."""
    return f"{ROOT}:session:{session_id}:runs"


def hosted_runs() -> str:
    """Sorted set run id → when it was handed over, ms: the runs that the hosts are to drive, until they have ended."""
    return f"{ROOT}:hosted"


def unkept_runs() -> str:
    """Sorted set run id → from when on it may be taken to be kept for good, ms: the runs that have ended, until they
    are in the archive."""
    return f"{ROOT}:unkept"


def deleted_runs() -> str:
    """Sorted set run id → when it was deleted, seconds: those of the last hour."""
    return f"{ROOT}:deleted"


def delivery(name: str) -> str:
    """String: the calls of this record are counted. Lives as long as a client may repeat what it heard no reply to."""
    return f"{ROOT}:delivery:{name}"


def claim(key: str) -> str:
    """String OWNER:number, who is at work on this question and by which of its claims; deleted with the answer."""
    return f"{ROOT}:claim:{key}"


def answer(key: str) -> str:
    """String: the answer to a question that suits every run, in the model's words."""
    return f"{ROOT}:answer:{key}"


def owner(owner_name: str) -> str:
    """String that expires when a process no longer lives: what it had claimed is free then."""
    return f"{ROOT}:owner:{owner_name}"


def landed(key: str) -> str:
    """Channel: a claim has ended, with an answer or without."""
    return f"{ROOT}:landed:{key}"


def gone(owner_name: str) -> str:
    """Channel: an owner is known to be dead."""
    return f"{ROOT}:gone:{owner_name}"


def persona(key: str) -> str:
    """Hash: profile (JSON), past ballots (JSON), and scored and agreed, how many results have come in and the sum of
    how well it predicted them. Kept ten times as long as a run."""
    return f"{ROOT}:persona:{key}"


def seats(run_id: RunId) -> str:
    """Hash persona key → which of the run's balanced orders it is shown."""
    return f"{run(run_id)}:seats"


def permits(account: str) -> str:
    """Sorted set permit id → expiry in ms: the calls that one provider account has in flight."""
    return f"{ROOT}:account:{account}:permits"


def books(account: str) -> str:
    """Hash of one account: declared and learned limits, token buckets, when somebody last had to wait (short, ms), and
    per permit p:<id> tokens:granted_ms:place."""
    return f"{ROOT}:account:{account}:books"


def backlog_turn() -> str:
    """String: this minute's backlog is measured. Lives a minute."""
    return f"{ROOT}:backlog"


def feed_waker(reader: str) -> str:
    """Stream of one entry: wakes the reader of one HTTP process when it is to watch another run. Lives a minute."""
    return f"{ROOT}:feed:{reader}"


def start(key: str) -> str:
    """String: the run that was started under this digest of session and Idempotency-Key, and a digest of what was asked
    for. Lives a day."""
    return f"{ROOT}:start:{key}"


def video_set(video_set_id: str) -> str:
    """String: uploaded videos as JSON, under their content's digest, behind TENANT/ where there are tenants. Kept as
    long as a run."""
    return f"{ROOT}:videos:{video_set_id}"


def videos(run_id: RunId) -> str:
    """Hash of a run's video jobs: latest:PROVIDER:SCRIPT → job, and per job JOB:status, JOB:script, JOB:provider,
    JOB:asker (who asks its provider, once), JOB:operation (by what name it is known there), JOB:tries, JOB:error."""
    return f"{run(run_id)}:videos"


def videos_wanted() -> str:
    """Sorted set "RUN JOB" → from when on it may be taken, ms: video jobs that are to be made. Whoever is at work on
    one moves its time on."""
    return f"{ROOT}:videos-wanted"


def admission(kind: str, key: str) -> str:
    """String: what a cookie or a ticket stands for, under the digest of it: a token's digest, and a ticket's run. Lives
    12 hours or 5 minutes."""
    return f"{ROOT}:admission:{kind}:{key}"


def rate(tenant: str, what: str, minute: int) -> str:
    """String: how many requests or starts a tenant has made in one minute. Lives two."""
    return f"{ROOT}:tenant:{tenant}:{what}:{minute}"


def book(tenant: str, month: str) -> str:
    """Hash run id → micro-dollars that it counts for in its tenant's budget, again:RUN → the end that it goes on after,
    ms, and total. Lives two months."""
    return f"{ROOT}:tenant:{tenant}:{month}:book"


def open_runs(tenant: str, month: str) -> str:
    """Set of the run ids in that book that still count as their caps."""
    return f"{ROOT}:tenant:{tenant}:{month}:open"
