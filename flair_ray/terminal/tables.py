"""What commands show at their end, as tables: a ranking, a reading, the runs, the state of this machine.

Cells are ``Text`` made of cleaned strings: what a video, a model or a file name says is never markup.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from flair_ray.domain.calls import Usage
from flair_ray.domain.ids import StageName
from flair_ray.domain.insights import Insights
from flair_ray.domain.money import dollars
from flair_ray.domain.runs import RunStatus
from flair_ray.engine.estimate import Estimate
from flair_ray.result import RunResult
from flair_ray.terminal.wording import STAGE_LABELS, STYLES, clean, compact, span

LEAST_ROWS = 20
"""A ranking shows the scripts that were asked for, and others up to this many; ranking.csv has all."""
REASONS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Check:
    """One thing `flair doctor` looked at; ``ok`` is None for what is optional and absent."""

    name: str
    ok: bool | None
    detail: str
    fix: str = ""


def ranking_table(result: RunResult) -> Table:
    """The ranking, best first, each script with its 95 % interval; a line below those that were personalised."""
    table = _table("#>", "hook*", "script", "places>", "score>", "1st>", "length>")
    rows, taken = result.table(), {final.script_id for final in result.results}
    for row in rows[: max(LEAST_ROWS, len(taken))]:
        chosen = row.script_id in taken
        hook = Text(clean(row.hook), no_wrap=not chosen)
        votes = (row.places, f"{row.vote_score:g}", row.first_choices)
        cells = (row.rank, hook, row.script_id, *votes, f"{row.estimated_duration:.0f} s")
        _add(table, *cells, style="" if chosen else "dim", end_section=row.rank == len(taken))
    return table


def edits_table(result: RunResult) -> Table:
    """What viewers would change in the best scripts, and what the panel made of it; no rows where nobody was asked."""
    table = _table("script", "instead of*", "say*", "prefer it edited>", "")
    told = {"gain": "clearly better", "loss": "clearly worse", "no_clear_gain": "no clear gain"}
    for trial in result.refinement.trials if result.refinement else ():
        share = "" if trial.share is None else f"{trial.share:.0%} ({trial.low:.0%} to {trial.high:.0%})"
        style = "green" if trial.helps else "dim"
        texts = (clean(trial.edit.passage), clean(trial.edit.instead))
        _add(table, trial.script_id, *texts, share, told[trial.verdict], style=style)
    return table


def receipt_table(result: RunResult) -> Table:
    """What each stage took, a last line for all of them."""
    table = _table("", "calls>", "fail>", "again>", "429>", "reused>", "in>", "cached>", "out>", "cost>", "est.>")
    lines, total = result.receipt(), result.tally
    for line in lines:
        _add(
            table, STAGE_LABELS[line.stage], *_spent(line.calls, line.failed, line.retries + line.reasks + line.hedges),
            *_spent(line.rejected_429, line.cache_hits, line.input_tokens), _share(line.cache_hit_rate),
            compact(line.output_tokens), dollars(line.usd), dollars(line.estimated_usd),
            style="dim", end_section=line is lines[-1],
        )  # fmt: skip
    usage = total.usage
    rate = usage.cached_tokens / usage.input_tokens if usage.input_tokens else None
    _add(
        table, "all", *_spent(total.calls, total.failed, total.retries + total.reasks + total.hedges),
        *_spent(total.rejected_429, total.cache_hits, usage.input_tokens), _share(rate), compact(usage.output_tokens),
        dollars(result.cost.usd), dollars(result.estimated_usd),
    )  # fmt: skip
    return table


def estimate_table(estimated: Estimate) -> Table:
    """What each stage is expected to take, a last line for all of them."""
    table = _table("", "calls>", "in>", "cached>", "out>", "think>", "low>", "expected>", "high>")
    bounds, stages = ("low", "expected", "high"), estimated.stages
    for name, stage in stages.items():
        costs = (dollars(p.usd(getattr(stage, b)) if (p := estimated.price_of(name)) else None) for b in bounds)
        _add(table, STAGE_LABELS[name], f"{stage.calls:,}", *_tokens(stage.expected), *costs, style="dim")
    total = sum((stage.expected for stage in stages.values()), Usage())
    costs = (dollars(estimated.usd(bound)) for bound in bounds)
    _add(table, "all", f"{sum(stage.calls for stage in stages.values()):,}", *_tokens(total), *costs)
    return table


def refine_line(estimated: Estimate) -> str:
    """What edits take, apart."""
    more = estimated.document()["refine"]
    takes = f"{more['calls']:,} calls, {dollars(more['usd']['expected'])}"
    return f"--refine, in these figures: {takes}" if more["included"] else f"--refine would add {takes}"


def _tokens(usage: Usage) -> tuple[str, ...]:
    return _spent(usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens)


def _spent(*counts: int) -> tuple[str, ...]:
    return tuple(map(compact, counts))


def _share(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.0%}"


def ingest_table(report: Mapping[str, Any]) -> Table:
    """What `Ingest.to_dict` says: counts, reasons for what was left out, spreads."""
    table, engagement = _table("", "*"), report["engagement"]
    skipped = [(record["reason"], record["where"]) for record in report["skipped"]]
    views, rate = engagement["median_views"], engagement["median_rate"]
    known = f"numbers for {engagement['known']:,}" if engagement["known"] else "no numbers"
    facts = (known, views is not None and f"median views {views:,.0f}", rate is not None and f"median rate {rate:.1%}")
    _add(table, "found", f"{report['found']:,}")
    _add(table, "usable", f"{report['usable']:,}", style="bold")
    _add(table, "skipped", f"{len(skipped):,}")
    for reason, count in Counter(reason for reason, _ in skipped).most_common(REASONS_SHOWN):
        first = next(where for why, where in skipped if why == reason)
        _add(table, "", f"{count:,} × {reason}" + f" ({first}{', …' if count > 1 else ''})", style="yellow")
    _add(table, "duplicates", f"{len(report['duplicates']):,}")
    for twin in report["duplicates"][:REASONS_SHOWN]:
        _add(table, "", f"{twin['where']} is {twin['merged_into']} again", style="dim")
    _add(table, "durations", _spread(report["durations_s"], " s"))
    _add(table, "words", _spread(report["words"], ""))
    _add(table, "engagement", ", ".join(fact for fact in facts if fact))
    return table


def _spread(spread: Mapping[str, Any], unit: str) -> str:
    if not spread["known"]:
        return "not known"
    low, middle, high = (f"{spread[key]:,.0f}{unit}" for key in ("minimum", "median", "maximum"))
    return f"{low} to {high}, median {middle} ({spread['known']:,} known)"


def run_document(run: Mapping[str, Any]) -> dict[str, Any]:
    """A run's row with moments for people."""
    named = {name: run[name] for name in ("run_id", "status", "current_stage", "stages", "provider", "model", "calls")}
    created, finished = run["created_at_ms"], run["finished_at_ms"]
    moments = {"created_at": _moment(created), "finished_at": _moment(finished) if finished else None}
    return named | {name: at and at.isoformat() for name, at in moments.items()} | {"error": run["error"]}


def runs_table(runs: Sequence[Mapping[str, Any]]) -> Table:
    """One line per run, from their rows, in the order given."""
    table = _table("run", "status", "begun", "took>", "calls>", "*")
    table.columns[0].min_width = 36
    for run in runs:
        created_ms, finished_ms, status = run["created_at_ms"], run["finished_at_ms"], RunStatus(run["status"])
        stage = STAGE_LABELS[StageName(run["current_stage"])] if run["current_stage"] else ""
        took = span((finished_ms - created_ms) / 1000) if finished_ms else ""
        begun = _moment(created_ms).astimezone().strftime("%m-%d %H:%M")
        note = Text(clean(run["error"] or ("" if status.terminal else stage)), no_wrap=True)
        shown = Text(status.value, STYLES[status.value])
        _add(table, run["run_id"], shown, begun, took, f"{run['calls']:,}", note)
    return table


def insights_table(found: Insights) -> Table:
    """Hooks, then patterns, the best first, against what is usual for this creator; below, how the panel did."""
    table = _table("*", "scripts>", "rate>", "× usual>", "range>")
    table.caption = Text(f"{found.note} Posts: {found.total_videos_tracked}.", justify="left")
    table.show_header = bool(found.top_patterns)
    for row in (*found.hook_types, *found.top_patterns):
        low, high = row.interval
        against = (f"{row.lift:.2f}", f"{low:.2f}-{high:.2f}")
        last = bool(found.hook_types) and row is found.hook_types[-1]
        _add(table, row.pattern, row.n, f"{row.engagement_rate:.2%}", *against, end_section=last)
    return table


def doctor_table(checks: Sequence[Check]) -> Table:
    """One row per check; what to do stands where something is missing."""
    table = _table("", "check", "found*", "what to do*")
    marks = {True: Text("ok", "green"), False: Text("no", "bold red"), None: Text("-", "dim")}
    for check in checks:
        fix = "" if check.ok else check.fix
        _add(table, marks[check.ok], check.name, check.detail, fix, style="dim" if check.ok is None else "")
    return table


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _table(*columns: str) -> Table:
    """Columns by title; a ">" behind it: numbers, a "*": text that wraps into the room that is left."""
    titles = [column.rstrip(">*") for column in columns]
    table = Table(
        box=box.SIMPLE_HEAD, header_style="dim", show_header=any(titles), show_edge=False, padding=(0, 1, 0, 0)
    )
    for title, column in zip(titles, columns, strict=True):
        table.add_column(title, justify="right" if column.endswith(">") else "left", no_wrap=not column.endswith("*"))
    return table


def _add(table: Table, *cells: object, style: str = "", end_section: bool = False) -> None:
    texts = (cell if isinstance(cell, Text) else Text(clean(cell)) for cell in cells)
    table.add_row(*texts, style=style, end_section=end_section)
