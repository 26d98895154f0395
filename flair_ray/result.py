"""What a run comes to, in the hands of whoever asked for it: a script, a notebook, a report.

A ``RunResult`` is a value. It holds everything that was recorded, also of a run that failed or was
cancelled (then ``ranking`` may be None and ``results`` empty), and shows it in the forms people want:
``document()`` is the JSON that ``--json`` prints and ``result.json`` holds, ``table()`` the rows of a
terminal, ``to_pandas()`` a data frame, ``_repr_html_()`` a notebook cell.

Importing this module loads neither ray nor redis, and pandas only when a data frame is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flair_ray.domain.ballots import Ballot
from flair_ray.domain.calls import CALL_COUNTS, CallTally
from flair_ray.domain.codec import plain
from flair_ray.domain.evidence import Certainty, Evidence
from flair_ray.domain.ids import ItemId, RunId, ScriptId, StageName
from flair_ray.domain.money import dollars
from flair_ray.domain.patterns import Pattern, PatternEntry, PatternLibrary
from flair_ray.domain.people import Persona
from flair_ray.domain.ranking import RankedScript, Ranking, rank, weights_of
from flair_ray.domain.refining import Refinement, Trial
from flair_ray.domain.runs import RunSpec, RunStatus, StageCounts
from flair_ray.domain.scripts import CandidateScript, FinalScript
from flair_ray.domain.videos import Video
from flair_ray.errors import InfrastructureError

if TYPE_CHECKING:
    from pandas import DataFrame

PRESCREEN_NOTICE = (
    "A simulated pre-screen: synthetic viewers compared these scripts with one another. "
    "Ranks and scores are never predicted views."
)
OFFLINE_NOTICE = (
    "Made by the offline provider: a seeded heuristic that reads your texts, not a language model. "
    "It shows how a run works; choose a model provider for scripts to film."
)
SAME_MODEL_NOTICE = (
    "The model that wrote these scripts also voted on them, and models like their own texts. "
    "Let another one vote to see what holds."
)


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time went, seconds."""

    startup_s: float | None
    """From the command to the first stage; None when it was not this process that started the run."""
    pipeline_s: float
    """From the first stage's start to the last one's end."""
    per_stage: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Cost:
    """What the run has cost, in US dollars; None where no price is known, which is not zero."""

    usd: float | None
    basis: str
    """What the figure rests on, in words."""
    unsure_usd: float | None = None
    """On top of that, calls without an answer that may have been billed; None where no cap kept count."""

    def __str__(self) -> str:
        return "$ unknown" if self.usd is None else dollars(self.usd)


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """What one stage took, over all attempts at the run."""

    stage: StageName
    model: str
    calls: int
    failed: int
    retries: int
    reasks: int
    rejected_429: int
    hedges: int
    cache_hits: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cache_hit_rate: float | None
    """Of the input tokens, the share that the vendor had cached; None where nothing was sent."""
    usd: float | None
    unsure_usd: float | None
    estimated_usd: float | None


@dataclass(frozen=True, slots=True)
class TableRow:
    """One ranked script, flat: a line in a terminal, a row of a data frame."""

    rank: int
    script_id: ScriptId
    hook: str
    """In the creator's voice where there is such a text, else as first written."""
    vote_score: float
    first_choices: int
    mentions: int
    pairwise_wins: int
    rank_low: int | None
    rank_high: int | None
    """The 95 % interval of its rank, best and worst; None where that is not known."""
    p_top: float | None
    """How often it is among the best N, were other such viewers asked."""
    polarisation: float | None
    """From 0, the same points by all, to 1, all or nothing by each."""
    pattern_used: str
    estimated_duration: float
    personalized: bool
    text: str
    """Hook, body and payoff, in the same voice as ``hook``."""

    @property
    def places(self) -> str:
        """The interval in words: "2" or "2 to 6"; empty where it is not known."""
        low, high = self.rank_low, self.rank_high
        return "" if low is None else f"{low}" if low == high else f"{low} to {high}"


@dataclass(frozen=True, slots=True, repr=False)
class RunResult:
    """Everything one run has recorded. ``results`` is sorted by rank, the winner first."""

    run_id: RunId
    status: RunStatus
    spec: RunSpec
    patterns: tuple[Pattern, ...]
    library: PatternLibrary | None
    scripts: tuple[CandidateScript, ...]
    personas: tuple[Persona, ...]
    videos: tuple[Video, ...]
    ballots: tuple[Ballot, ...]
    ranking: Ranking | None
    results: tuple[FinalScript, ...]
    skipped: Mapping[StageName, Mapping[ItemId, str]]
    """Per stage, the items that have no result, and why."""
    stages: Mapping[StageName, StageCounts]
    timing: Timing
    cost: Cost
    completed_at: datetime | None
    out_dir: Path | None
    """Where the outputs were written; None before they are."""
    error: str | None = None
    """Why a failed run failed, in words."""
    exit_code: int = 0
    """What a command that made this run should exit with."""
    late_ballots: tuple[Ballot, ...] = ()
    """What came after the counting had begun: kept, not counted."""
    stopped_by: Literal["budget"] | None = None
    """What ended a completed run before all of its work was done."""
    refinement: Refinement | None = None
    """Edits that viewers proposed and what the panel made of them; None where nobody was asked."""
    notices: tuple[str, ...] = ()
    """What a reader should know besides the disclosures that every result carries."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "results", tuple(sorted(self.results, key=lambda final: final.rank)))

    @property
    def tally(self) -> CallTally:
        """Calls and tokens over all stages."""
        return sum((counts.tally for counts in self.stages.values()), CallTally())

    @property
    def finished_at_ms(self) -> int | None:
        """When it ended, milliseconds since the epoch."""
        return round(self.completed_at.timestamp() * 1000) if self.completed_at else None

    @property
    def partial(self) -> bool:
        """Whether a completed run left work undone."""
        return self.stopped_by is not None

    @property
    def estimated_usd(self) -> float | None:
        """What the run was expected to cost when it was submitted."""
        return sum(self.spec.money.estimate_usd.values()) if self.spec.money.known else None

    def receipt(self) -> tuple[ReceiptLine, ...]:
        """One line per stage that asks a model and has been reached."""
        reduces = (StageName.S2, StageName.S5)
        return tuple(_receipt_line(n, c, self.spec) for n, c in self.stages.items() if n not in reduces and c.total)

    @property
    def disclosures(self) -> tuple[str, ...]:
        """What is said wherever results show, then the run's own notices; each once."""
        offline, alone = self.spec.model.provider == "offline", self.spec.voter_model is None
        always = (PRESCREEN_NOTICE, OFFLINE_NOTICE if offline else SAME_MODEL_NOTICE if alone else "")
        measured = (caution.text for caution in self.evidence.cautions) if self.evidence else ()
        said = (*always, *self._about_late_ballots(), *measured, *self.notices)
        return tuple(dict.fromkeys(filter(None, said)))

    @property
    def evidence(self) -> Evidence | None:
        """What the ranking rests on; None before there is one, or with too few ballots to tell."""
        return self.ranking.evidence if self.ranking else None

    def _about_late_ballots(self) -> Iterator[str]:
        """Whether the votes that are missing could have changed who is among the best."""
        ranking, n = self.ranking, self.spec.top_n
        if ranking is None or not ranking.late:
            return
        missed = f"{ranking.late} of {len(self.personas)} ballots had not come when the counting began."
        weights = weights_of(self.personas)
        if not ranking.open_to_late(n, max(weights.values(), default=1.0)):
            yield f"{missed} Whatever they say, the best {n} would be the same."
            return
        recount = rank((*self.ballots, *self.late_ballots), self.scripts, weights=weights)
        changed = len({row.script_id for row in recount.top(n)} - {row.script_id for row in ranking.top(n)})
        came = len(self.late_ballots)
        found = f"{changed} of them would be others" if changed else "they would be the same"
        counted = f" With the {came} that came since, {found}." if came else ""
        yield f"{missed} They could change which {n} are the best.{counted}"

    def document(self) -> dict[str, Any]:
        """The whole result as plain JSON values, as outputs/result.schema.json describes it."""
        spec, usage, voters = self.spec, self.tally.usage, self.spec.model_of(StageName.S4)
        return {
            "run_id": self.run_id,
            "status": self.status.value,
            "error": self.error,
            "partial": self.partial,
            "stopped_by": self.stopped_by,
            "provider": spec.model.provider,
            "model": spec.model.model,
            "voter_model": {"provider": voters.provider, "model": voters.model},
            "requested": {name: getattr(spec, name) for name in _REQUESTED},
            "results": [{**plain(final), "personalized_script": final.personalized_script} for final in self.results],
            "ranking": self._ranking_document(),
            "refinement": self._refinement_document(),
            "calls": {"total": self.tally.calls, "by_stage": {n.value: _calls(c) for n, c in self.stages.items()}},
            "tokens": plain(usage),
            "cost": {**plain(self.cost), "max_usd": spec.money.max_usd, "estimated_usd": self.estimated_usd},
            "receipt": [plain(line) for line in self.receipt()],
            "timing": plain(self.timing),
            "stages": {name.value: _progress(counts) for name, counts in self.stages.items()},
            "late_ballots": [plain(ballot) for ballot in self.late_ballots],
            "skipped": {name.value: dict(reasons) for name, reasons in self.skipped.items()},
            "patterns": [plain(pattern) for pattern in self.patterns],
            "scripts": [plain(script) for script in self.scripts],
            "library": plain(self.library) if self.library else None,
            "creator_profile": _profile(spec),
            "completed_at": self.completed_at.isoformat() if self.completed_at else None,
            "warnings": list(spec.warnings),
            "notices": list(self.disclosures),
            "out_dir": str(self.out_dir) if self.out_dir else None,
        }

    def _ranking_document(self) -> dict[str, Any] | None:
        if self.ranking is None:
            return None
        document = plain(self.ranking)
        if document["evidence"]:
            del document["evidence"]["certainty"]  # its numbers stand in the rows
        shown = self.table()
        rows = [
            {**row, **{name: getattr(said, name) for name in ("hook", *_CERTAINTY)}}
            for row, said in zip(document["rows"], shown, strict=True)
        ]
        return {**document, "rows": rows}

    def _refinement_document(self) -> dict[str, Any] | None:
        found = self.refinement
        if found is None:
            return None
        trials = [{**plain(trial), "summary": trial.summary} for trial in found.trials]
        return {"trials": trials, "untried": list(found.untried), "method": found.method}

    def trial(self, script_id: str) -> Trial | None:
        """The edit that was tried on this script, and what the panel made of it."""
        trials = self.refinement.trials if self.refinement else ()
        return next((trial for trial in trials if trial.script_id == script_id), None)

    def table(self) -> list[TableRow]:
        """One row per ranked script, best first; empty when the run ended before its ranking."""
        scripts = {script.script_id: script for script in self.scripts}
        finals = {final.script_id: final for final in self.results}
        ranked = self.ranking.rows if self.ranking else ()
        sure = self.evidence.certainty if self.evidence else (None,) * len(ranked)
        return [
            _table_row(row, certainty, scripts[row.script_id], finals.get(row.script_id))
            for row, certainty in zip(ranked, sure, strict=True)
        ]

    def drafts(self) -> list[tuple[int | None, CandidateScript]]:
        """The scripts that have no final text, each with its rank; best first, those without a rank last."""
        ranks = {row.script_id: row.rank for row in self.ranking.rows} if self.ranking else {}
        filmed = {final.script_id for final in self.results}
        left = [(ranks.get(script.script_id), script) for script in self.scripts if script.script_id not in filmed]
        return sorted(left, key=lambda draft: draft[0] or len(ranks) + 1)

    def to_pandas(self, of: Literal["ranking", "patterns", "videos", "pairs"] = "ranking") -> DataFrame:
        """One row per ranked script, best first, columns as in TableRow; or of the library's patterns, of the analyzed
        videos with their quotes, or of pairs: how often the row's script is above the column's, 0 to 1.

        Raises InfrastructureError without pandas.
        """
        try:
            from pandas import DataFrame
        except ImportError:
            raise InfrastructureError(
                "to_pandas() needs pandas, which is not installed here: pip install 'flair_ray[pandas]'."
            ) from None
        if of == "pairs":
            ids = [row.script_id for row in self.table()]
            return DataFrame(self.evidence.above if self.evidence else None, index=ids, columns=ids, dtype=float)
        if of == "ranking":
            return DataFrame([asdict(row) for row in self.table()], columns=[f.name for f in fields(TableRow)])
        entries = self.library.entries if self.library else ()
        rows, kind = (entries, PatternEntry) if of == "patterns" else (self.patterns, Pattern)
        names = ["label", *(f.name for f in fields(kind))]
        return DataFrame([{"label": row.label, **plain(row)} for row in rows], columns=names)

    def _repr_html_(self) -> str:
        """A small table for notebooks; every text in it is escaped."""
        head = "".join(f"<th>{name}</th>" for name in ("Rank", "95 %", "Hook", "Score", "First choices"))
        rows = "".join(
            f"<tr><td>{row.rank}</td><td>{row.places}</td>"
            f'<td dir="auto" style="text-align:left">{escape(row.hook)}</td>'
            f"<td>{row.vote_score:g}</td><td>{row.first_choices}</td></tr>"
            for row in self.table()
        )
        notes = "".join(f"<p><small>{escape(note)}</small></p>" for note in (*self.disclosures, *self.spec.warnings))
        trials = self.refinement.trials if self.refinement else ()
        edits = "".join(f"<li>{escape(trial.script_id)}: {escape(trial.summary)}</li>" for trial in trials)
        notes += f"<p>What would have changed viewers’ minds:</p><ul>{edits}</ul>" if edits else ""
        caption = f"<p><b>Run {escape(self.run_id)}</b>: {self.status.value}, {len(self.results)} scripts ready</p>"
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        return f"<div>{caption}{table}{notes}{self._found_html()}</div>"

    def _found_html(self) -> str:
        """What the videos have in common and how far viewers agree, folded away; nothing where there is neither yet."""
        found = ""
        if library := self.library:
            rows = "".join(map(_pattern_row, library.entries))
            head = "".join(f"<th>{name}</th>" for name in ("Pattern", "Videos", "Engagement", "As in"))
            found += f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
            left_out = f"{library.quotes_dropped} of {library.quotes}"
            found += "<p><small>What goes together is not thereby a cause. Quotes that no transcript has, left out: "
            found += f"{left_out}. All of it: to_pandas('patterns') and to_pandas('videos').</small></p>"
        if self.evidence:
            agreed = self.evidence.agreement
            found += f"<p><small>Agreement: W {agreed.kendalls_w:.2f}, where dice stay under {agreed.w_by_chance:.2f}. "
            found += "Each script against each other one: to_pandas('pairs').</small></p>"
        return found and f"<details><summary>What this rests on</summary>{found}</details>"

    def __repr__(self) -> str:
        spent = "unknown cost" if self.cost.usd is None else str(self.cost)
        return (
            f"<RunResult {self.run_id} {self.status.value}: {len(self.results)} results, "
            f"{self.tally.calls} calls, {self.timing.pipeline_s:.1f} s, {spent}>"
        )


def _pattern_row(entry: PatternEntry) -> str:
    lift = "no numbers" if entry.lift is None else f"{entry.lift:.2f} × median"
    said = escape("; ".join(f"“{exemplar.hook}”" for exemplar in entry.exemplars))
    left = 'style="text-align:left"'
    cells = f"<td {left}>{escape(entry.label)}</td><td>{entry.support}</td><td>{lift}</td>"
    return f'<tr>{cells}<td dir="auto" {left}>{said}</td></tr>'


_CERTAINTY = tuple(field.name for field in fields(Certainty))
_REQUESTED = ("num_videos", "num_scripts", "num_personas", "top_n", "seed")


def _calls(counts: StageCounts) -> dict[str, int]:
    return {name: getattr(counts.tally, name) for name in CALL_COUNTS}


def _receipt_line(stage: StageName, counts: StageCounts, spec: RunSpec) -> ReceiptLine:
    usage, money, price = counts.tally.usage, spec.money, spec.money.price_of(stage)
    return ReceiptLine(
        stage=stage,
        model=spec.model_of(stage).model,
        **_calls(counts),
        **asdict(usage),
        cache_hit_rate=round(usage.cached_tokens / usage.input_tokens, 4) if usage.input_tokens else None,
        usd=price.usd(usage) if price else None,
        unsure_usd=counts.unsure_usd,
        estimated_usd=money.estimate_usd.get(stage),
    )


def _profile(spec: RunSpec) -> dict[str, Any]:
    """What the creator said elsewhere is material of theirs, and no part of a result that they may pass on."""
    return {name: value for name, value in plain(spec.profile).items() if name != "own_transcripts"}


def _progress(counts: StageCounts) -> dict[str, Any]:
    return {name: getattr(counts, name) for name in ("status", "total", "completed", "skipped", "elapsed_s")}


def _table_row(
    ranked: RankedScript, sure: Certainty | None, script: CandidateScript, final: FinalScript | None
) -> TableRow:
    return TableRow(
        rank=ranked.rank,
        script_id=ranked.script_id,
        hook=final.hook if final else script.hook,
        vote_score=ranked.score,
        first_choices=ranked.first_choices,
        mentions=ranked.mentions,
        pairwise_wins=ranked.pairwise_wins,
        **{name: getattr(sure, name, None) for name in _CERTAINTY},
        pattern_used=script.pattern_used,
        estimated_duration=script.estimated_duration,
        personalized=bool(final and final.personalized),
        text=final.personalized_script if final else script.text,
    )
