"""A run: what was asked for, where it stands, what it has spent, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from flair_ray.domain.calls import CallTally
from flair_ray.domain.ids import SIX, RunId, StageName
from flair_ray.domain.money import Money
from flair_ray.domain.people import CreatorProfile, Persona
from flair_ray.domain.rigor import Rigor
from flair_ray.domain.videos import Video

NO_REQUEST = "-"
"""In place of a request's id where there was none."""
VOTING = (StageName.S4, StageName.R2, StageName.R3)
"""Where viewers judge. Edits are proposed by who writes: nobody judges an edit of its own where the two differ."""


class RunStatus(StrEnum):
    """A run ends in one of the last three, always."""

    PENDING = "pending"
    """Recorded; no driver has taken it yet."""
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model answers. Holds no key: keys are read where the call is made."""

    provider: str
    model: str
    base_url: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What an account stands, as far as anybody has declared it; None: to be found while calling."""

    max_in_flight: int | None = None
    rpm: int | None = None
    """Requests a minute."""
    tpm: int | None = None
    """Tokens a minute, input and output."""


@dataclass(frozen=True, slots=True)
class RunInputs:
    """The material of a run, stored once under its content hash however many runs use it."""

    videos: tuple[Video, ...]
    personas: tuple[Persona, ...]


@dataclass(frozen=True, slots=True)
class Feedback:
    """What results of earlier runs have to say to this one, as its prompts will have it; empty: nothing."""

    s3: str = ""
    s4: str = ""


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What was asked for, after clamping; never changes once the run exists."""

    profile: CreatorProfile
    model: ModelChoice
    num_videos: int
    num_scripts: int
    num_personas: int
    top_n: int
    seed: int
    inputs_key: str
    """Content hash under which the RunInputs are stored."""
    fingerprint: str
    """Of everything that decides an answer: this spec, the prompts, the answer schemas. Results are
    keyed by it, so that answers of two configurations never mix."""
    session_id: str = "anonymous"
    cache: bool = True
    """Whether answers that suit any run may come from earlier ones, and are kept for later ones."""
    limits: Limits = field(default_factory=Limits)
    money: Money = field(default_factory=Money)
    feedback: Feedback = field(default_factory=Feedback)
    voter_model: ModelChoice | None = None
    """Who votes, where that is another model than writes."""
    voter_limits: Limits = field(default_factory=Limits)
    rigor: Rigor = Rigor.STANDARD
    refine: bool = False
    """Whether viewers whom the best scripts left cold propose edits, and the panel judges them."""
    warnings: tuple[str, ...] = ()
    """What was clamped or dropped on the way in, in words."""

    video_model: str | None = None
    """By which provider its videos are made unless told otherwise."""

    @property
    def stages(self) -> tuple[StageName, ...]:
        """Those that this run goes through, in order."""
        return tuple(StageName) if self.refine else SIX

    def model_of(self, stage: StageName) -> ModelChoice:
        """Who answers in this stage."""
        return self.voter_model if stage in VOTING and self.voter_model else self.model

    def limits_of(self, stage: StageName) -> Limits:
        """What the account of that model stands, as far as declared."""
        return self.voter_limits if stage in VOTING and self.voter_model else self.limits

    @property
    def max_in_flight(self) -> int | None:
        return self.limits.max_in_flight


@dataclass(frozen=True, slots=True)
class StageCounts:
    """How far one stage is. ``completed`` counts each item once and never goes down."""

    status: str = "pending"
    """pending, running or completed."""
    total: int = 0
    completed: int = 0
    skipped: int = 0
    elapsed_s: float | None = None
    tally: CallTally = field(default_factory=CallTally)
    unsure_usd: float | None = None
    """Dollars of calls without an answer that may have been billed all the same; None where no cap kept count."""


@dataclass(frozen=True, slots=True)
class RunOutline:
    """What a list says of a run."""

    run_id: RunId
    status: RunStatus
    created_at_ms: int
    current_stage: StageName | None
    stages: Mapping[StageName, str]
    """Each one's status."""
    finished_at_ms: int | None
    error: str | None
    provider: str
    model: str
    title: str
    """What the creator makes, as far as the profile says so."""


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """Everything about a run at one moment."""

    run_id: RunId
    status: RunStatus
    session_id: str
    created_at_ms: int
    current_stage: StageName | None = None
    stages: Mapping[StageName, StageCounts] = field(default_factory=dict)
    begun_at_ms: int | None = None
    """When the first stage began."""
    finished_at_ms: int | None = None
    error: str | None = None
    exit_code: int = 0
    spec: RunSpec | None = None
    recovering: bool = False
    """It has ended, and the hosts were told to go on with it."""
    request_id: str = NO_REQUEST
    """The HTTP request that last handed it to the hosts."""

    @property
    def over(self) -> bool:
        """Nothing more will come of it by itself."""
        return self.status.terminal and not self.recovering

    @property
    def tally(self) -> CallTally:
        """Calls and tokens over all stages."""
        return sum((s.tally for s in self.stages.values()), CallTally())
