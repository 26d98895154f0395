"""What the engine needs from the outside, as protocols. Adapters are chosen in ``wiring`` and nowhere else."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from pydantic import BaseModel

from flair_ray.domain.calls import CallTally, ChatRequest, Completion, Usage
from flair_ray.domain.events import Event, EventDraft
from flair_ray.domain.ids import ItemId, RunId, ScriptId, StageName
from flair_ray.domain.money import Purse
from flair_ray.domain.personas import PersonaKey, PersonaState
from flair_ray.domain.posts import Post, RunRecord
from flair_ray.domain.runs import (
    NO_REQUEST,
    Limits,
    ModelChoice,
    RunInputs,
    RunOutline,
    RunSnapshot,
    RunSpec,
    RunStatus,
)
from flair_ray.domain.work import Done, Skipped, Voter

S_contra = TypeVar("S_contra", contravariant=True)
I_contra = TypeVar("I_contra", contravariant=True)
O = TypeVar("O")  # shared, item, output: as everywhere in the stages


class Clock(Protocol):
    """Time, injected so that tests need not wait."""

    def now_s(self) -> float:
        """Monotonic seconds."""

    async def sleep(self, seconds: float) -> None: ...


class Provider(Protocol):
    """A language model behind one call."""

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        """One answer. Raises a ProviderError; never retries by itself, never sleeps."""

    async def check(self) -> None:
        """Free of charge: raises what every call would raise, such as AuthRefused or ModelNotFound."""

    async def close(self) -> None: ...


class Permit(Protocol):
    """One call's right to be in flight."""

    def used(self, tokens: int) -> None:
        """What the call took in the end, input and output."""

    def unused(self) -> None:
        """The call is not going to be sent after all."""


class Limiter(Protocol):
    """Keeps the calls of everyone who shares an account within its limits."""

    def permit(self, tokens: int) -> AbstractAsyncContextManager[Permit]:
        """Held for the length of one call of about so many tokens; entering waits for a turn.

        How the context is left says what came of the call: a RateLimited, a cancel, another error. Nobody sleeps
        holding a permit.
        """


@dataclass(frozen=True, slots=True)
class Ask:
    """One call that waits for its turn. Asking twice with one id gets one permit."""

    permit_id: str
    tokens: int
    """Estimated, input and output."""
    run_id: str = ""
    session_id: str = ""


Outcome = Literal["ok", "refused", "failed", "unused", "abandoned"]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What came of a permit: refused is a 429, unused was never sent, abandoned was hung up on."""

    permit_id: str
    outcome: Outcome
    tokens: int = 0
    """Of an ok: what it took in the end."""
    retry_after_ms: int = 0


@dataclass(frozen=True, slots=True)
class Granted:
    """What an account's books say to an exchange."""

    permit_ids: tuple[str, ...]
    wait_s: float | None
    """Until the first ask left over may be granted; None when only a settlement can help."""
    in_flight: int


@dataclass(frozen=True, slots=True)
class Turns:
    """What the limiter says to a desk."""

    epoch: str
    """Changes when the limiter has forgotten what this desk had asked for."""
    permit_ids: tuple[str, ...]


class Permits(Protocol):
    """The books of one account, shared by everyone who uses it."""

    async def declare(self, limits: Limits) -> None: ...

    async def exchange(
        self, asks: Sequence[Ask], settled: Sequence[Settlement] = (), renewed: Sequence[str] = ()
    ) -> Granted:
        """Settles, renews, then grants in the order of ``asks``. May be repeated."""


class Budget(Protocol):
    """What one run may still spend, whoever spends it."""

    async def reserve(self, call: str, request: ChatRequest) -> bool:
        """Room for one call about to be sent, at its worst. False: not now, calls in flight may yet leave room.

        Raises BudgetSpent when the stage's allowance is used up and nothing is in flight any more.
        """

    async def settle(self, call: str, usage: Usage | None) -> None:
        """What the call took; None where it had no answer and may have been billed all the same."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one item wants to be alone with."""

    key: str
    """Equal for all who would ask the same question."""
    run_id: RunId
    fingerprint: str
    stage: StageName
    item_id: ItemId
    shared: bool
    """Whether the answer is anybody's: taken from, and left in, the cache under ``key``."""


@dataclass(frozen=True, slots=True)
class Lead:
    """It is up to us to bring the answer, and to nobody else."""


@dataclass(frozen=True, slots=True)
class Shared:
    """The answer that somebody brought, in the model's words."""

    answer: str


@dataclass(frozen=True, slots=True)
class Settled:
    """The item has its result in this run."""


class Flights(Protocol):
    """At most one caller at work on each question, on the whole cluster."""

    @property
    def owner(self) -> str:
        """Who we are to the others: one name per process."""

    async def turn(self, claim: Claim) -> Lead | Shared | Settled:
        """Waits while somebody else leads; woken when the answer lands or is given up, or when its leader is dead."""

    async def leave(self, claim: Claim, *, landed: bool) -> None:
        """The leader is done. Without an answer on record (``landed``) the next one leads."""

    async def close(self) -> None: ...


class Panel(Protocol):
    """The memory of every persona. Everything here may be repeated.

    Raises StoreUnavailable, also when the panel of a run has been lost.
    """

    async def seat(self, run_id: RunId, voters: Sequence[Voter]) -> None:
        """These personas vote in this run, in these orders."""

    async def states(self, run_id: RunId, keys: Sequence[PersonaKey]) -> Mapping[PersonaKey, PersonaState]:
        """All of these, who were seated in this run."""

    async def remember(self, run_id: RunId, ballots: Mapping[PersonaKey, tuple[ScriptId, ...]]) -> None:
        """How the run's personas voted; once per run."""

    async def scored(self, key: PersonaKey, run_id: RunId, script_id: ScriptId, agreement: float) -> bool:
        """A result has come in, and the persona had predicted it so well, 0 to 1.

        Counted once per run and script: False for the second time, and where its ballot did not rank the script or
        is not remembered any more.
        """


class MapStage(Protocol[S_contra, I_contra, O]):
    """One call per item. Pure: no I/O, no clock, no randomness but the seed in ``shared``."""

    @property
    def name(self) -> StageName: ...

    @property
    def output(self) -> type[O]: ...

    @property
    def shareable(self) -> bool:
        """Whether an answer depends on the question alone and is as good in any other run."""

    def request(self, shared: S_contra, item: I_contra) -> ChatRequest:
        """The question for one item."""

    def parse(self, shared: S_contra, item: I_contra, answer: BaseModel) -> O:
        """The output from a schema-valid answer. Raises InvalidAnswer where a rule is broken, Flawed where the
        answer will do if asking again brings none that is better."""

    def started(self, item: I_contra) -> EventDraft | None:
        """Appended once, when the item's first call is about to be made; None: that is not told."""

    def progress(self, item: I_contra, output: O) -> EventDraft:
        """Appended with the result; the store adds ``completed`` and ``total``."""

    def skipped(self, item: I_contra, reason: str) -> EventDraft:
        """Appended instead when the item is given up; the store adds ``completed`` and ``total``."""


@dataclass(frozen=True, slots=True)
class StageJob:
    """A map stage, or the part of one that is left to do; picklable, with all that a worker needs."""

    run_id: RunId
    session_id: str
    fingerprint: str
    stage: StageName
    shared: object
    items: tuple[tuple[ItemId, object], ...]
    total: int
    """Items of the whole stage, done ones included: what viewers see."""
    model: ModelChoice
    limits: Limits = field(default_factory=Limits)
    """Of the account that pays."""
    share: bool = False
    """Whether answers may come from other runs, and go to them."""
    purse: Purse | None = None
    """What the stage may spend; None: no cap."""
    hedges: int = 0
    """Calls that may be sent a second time because the first is late."""
    request_id: str = NO_REQUEST
    trace: str = ""
    """The way to the stage's span, where spans are made."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """This item's outcome is recorded."""

    item_id: ItemId
    ok: bool
    took_s: float = 0.0
    """From its turn to its record; 0 where nobody was asked."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A shard's worker died; some of these items may be recorded, the store knows which."""

    item_ids: tuple[ItemId, ...]
    reason: str
    owner: str | None = None
    """By what name the dead worker led (``Flights.owner``), if it lived long enough to say."""


class Executor(Protocol):
    """Carries a map stage out. Which processes do the work is its own business."""

    def map(self, job: StageJob) -> AsyncGenerator[Delivered | Lost, None]:
        """Deliveries in completion order, each item at most once; ends when every shard has ended.

        Closing the iterator early cancels what is still running.
        """


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to drive one run. The token only grows; the store refuses writes under an old one."""

    run_id: RunId
    token: int
    taken: int
    """How often the run was taken up, this time included, since something was last recorded or a lease given back."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What recording an item did."""

    first: bool
    """False when the item was recorded before: nothing has changed."""
    completed: int


class RunStore(Protocol):
    """The one truth about runs. Every write that matters is a single atomic step."""

    async def create(
        self, run_id: RunId, spec: RunSpec, inputs: RunInputs, first: EventDraft, *, hosted: bool = False
    ) -> None:
        """``hosted``: the run hosts are to drive it. Raises RunConflict when the run exists."""

    async def host(self, run_id: RunId, request_id: str = NO_REQUEST) -> None:
        """From now on the run hosts drive it, also when it had failed or been cancelled; on whose request.

        Raises RunNotFound, and RunConflict when it is completed.
        """

    async def adoptable(self, most: int) -> list[RunId]:
        """Hosted runs that nobody drives, oldest first."""

    async def spec(self, run_id: RunId) -> RunSpec: ...
    async def inputs(self, key: str) -> RunInputs: ...
    async def snapshot(self, run_id: RunId) -> RunSnapshot: ...
    async def runs(self, session_id: str | None = None) -> list[RunSnapshot]:
        """Every known run of one session, or of all, oldest first."""

    async def outlines(self, session_id: str | None = None) -> list[RunOutline]:
        """The same runs, for a list: many times as fast."""

    async def acquire(self, run_id: RunId, ttl_s: float) -> Lease:
        """Raises RunConflict while another driver's lease lives."""

    async def renew(self, lease: Lease, ttl_s: float) -> bool:
        """True when a cancel was requested. Raises LeaseLost."""

    async def release(self, lease: Lease, *, in_vain: bool = False) -> None:
        """``in_vain``: counted as if its driver had died."""

    async def reopen(self, lease: Lease, recovered: EventDraft) -> None:
        """A failed, cancelled or orphaned run is running again."""

    async def begin_stage(self, lease: Lease, stage: StageName, total: int) -> None:
        """Appends ``stage_started``, or what tells it; the second time changes nothing. Raises LeaseLost."""

    async def grow_stage(self, lease: Lease, stage: StageName, total: int) -> None:
        """A stage under way has more items than it began with; the first time counts. Raises LeaseLost."""

    async def complete_stage(
        self, lease: Lease, stage: StageName, used: Sequence[ItemId], drafts: Sequence[EventDraft]
    ) -> tuple[ItemId, ...]:
        """Freezes which items later stages use, and returns them: the first freeze wins. Raises LeaseLost."""

    async def frozen(self, run_id: RunId) -> Mapping[StageName, tuple[ItemId, ...]]: ...

    async def announce(self, job: StageJob, item_id: ItemId, draft: EventDraft) -> None:
        """Appends ``draft`` the first time this item is started."""

    async def record(
        self,
        job: StageJob,
        item_id: ItemId,
        outcome: Done | Skipped,
        draft: EventDraft,
        tally: CallTally,
        claim: Claim | None = None,
        answer: str | None = None,
    ) -> Recorded:
        """Result, event and counters in one step, once per item; calls are always counted.

        In the same step an outcome that is Done ends ``claim`` and leaves ``answer`` to all who share it.
        """

    async def revoke(self, owner: str) -> None:
        """This owner is dead: what it led may be led by others at once."""

    async def outcomes(self, run_id: RunId, fingerprint: str, stage: StageName) -> dict[ItemId, Done | Skipped]: ...

    async def finish(
        self, lease: Lease, status: RunStatus, draft: EventDraft, error: str | None = None, exit_code: int = 0
    ) -> None:
        """The terminal event and state. Raises LeaseLost."""

    async def request_cancel(self, run_id: RunId) -> None:
        """The driver stops at its next renewal; without a driver the run is cancelled here and now."""

    async def is_driven(self, run_id: RunId) -> bool:
        """Somebody drives it now. Raises RunNotFound."""

    async def delete(self, run_id: RunId) -> None:
        """Forgets the run; whoever drives it loses it. Raises RunNotFound."""

    async def events(self, run_id: RunId, after: str = "0", block_ms: int | None = None) -> list[Event]:
        """Up to 1,000 events after an id, waiting up to ``block_ms`` for the first."""

    async def close(self) -> None: ...


class Unkept(Protocol):
    """Runs that have ended and are not in the archive yet. Raises StoreUnavailable."""

    async def due(self, most: int) -> list[RunId]:
        """Each is handed out once a minute until it is kept, and does not expire meanwhile."""

    async def kept(self, run_id: RunId, finished_at_ms: int) -> bool:
        """It is kept as it ended at this time. False: it was deleted meanwhile."""


class RunDriver(Protocol):
    """Takes runs to their ends."""

    async def drive(self, run_id: RunId, *, patient: bool = True, fail_outdated: bool = False) -> RunStatus: ...


class Records(Protocol):
    """Runs and posts for good. Everything here may be repeated. Raises ArchiveUnavailable."""

    async def keep_run(self, record: RunRecord) -> None: ...
    async def run(self, run_id: RunId) -> RunRecord | None: ...
    async def runs(self, session_id: str | None = None, besides: Collection[RunId] = ()) -> list[RunRecord]:
        """Of one session, or of all, oldest first, but for those that are known already."""

    async def forget_run(self, run_id: RunId) -> None:
        """The run and its posts."""

    async def keep_post(self, post: Post) -> None:
        """Replaces the same run's, script's, platform's and address's; ``posted_at_ms`` stays the first."""

    async def posts(self, run_id: RunId) -> list[Post]:
        """Oldest first."""

    async def posts_of(self, session_id: str | None = None) -> list[Post]:
        """Of all runs of one session, or of all sessions, oldest first."""

    async def check(self) -> None: ...
    async def close(self) -> None: ...


class Files(Protocol):
    """A run's files for good: results, reports, videos. Raises ArchiveUnavailable."""

    async def put(self, run_id: RunId, name: str, content: bytes | Path, media_type: str) -> None:
        """Replaces the file of this name."""

    async def get(self, run_id: RunId, name: str) -> bytes | None: ...

    async def link(self, run_id: RunId, name: str, seconds: int) -> str | None:
        """An address that needs no key, for so long; None where there is no such thing, or no such file."""

    async def forget(self, run_id: RunId) -> None: ...
    async def check(self) -> None: ...
    async def close(self) -> None: ...
