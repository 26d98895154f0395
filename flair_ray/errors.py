"""Every error that flair_ray raises on purpose, and who should act on it.

    FlairError
    ├── InputError ............... the caller's file, profile, count or name (exit 2)
    │   ├── RunNotFound .......... no such run, or it has expired
    │   └── ScriptNotFound ....... the run has no such script
    ├── ProviderError ............ a language model's server, or our account there (exit 3)
    │   ├── MissingKey ........... no API key for the chosen provider      [fatal]
    │   ├── AuthRefused .......... 401 or 403: the key is wrong or lacks a right [fatal]
    │   ├── ModelNotFound ........ 404: no such model there              [fatal]
    │   ├── BadRequest ........... 400 or 422: the server will never take this request
    │   ├── RateLimited .......... 429; carries retry_after_s            [retryable]
    │   ├── ServerTrouble ........ 5xx                                   [retryable]
    │   ├── ConnectionLost ....... cut or reset before an answer         [retryable]
    │   │   └── Unreachable ...... refused, or nobody there              [retryable]
    │   ├── CallTimeout .......... no answer before the call's deadline  [retryable]
    │   └── AnswerError .......... an answer came (and was paid for) but is of no use
    │       ├── InvalidAnswer .... not the schema, or breaks a rule of the stage [one re-ask]
    │       │   └── Flawed ....... breaks a rule, but is used where the re-ask brings nothing better
    │       ├── Truncated ........ cut off at the output token limit     [one re-ask]
    │       └── Refused .......... the model declined
    ├── InfrastructureError ...... Redis, Ray or this machine (exit 4)
    │   ├── StoreUnavailable ..... Redis cannot be reached or started
    │   ├── ClusterUnavailable ... Ray cannot be reached or started
    │   ├── ArchiveUnavailable ... what is kept for good: S3, DynamoDB, the data directory
    │   ├── LimiterFull .......... too many calls wait for one account
    │   ├── ShardLost ............ the worker process or node of a shard died
    │   └── LeaseLost ............ another driver has taken this run over
    └── RunError ................. the run as a whole
        ├── RunConflict .......... the run is in a state that forbids this (exit 2)
        │   └── RunOutdated ...... begun under other prompts or answer schemas (exit 2)
        ├── BudgetSpent .......... --max-usd leaves no room for another call (exit 5)
        ├── StageFailed .......... too many items of a stage failed (exit code of the cause)
        └── RunInterrupted ....... this process was told to stop; the run stays open (exit 130)

Two rules keep these usable everywhere. Every constructor passes all its arguments to ``super().__init__``, so that an
error survives pickling on its way through Ray; one with ``says`` takes a run's id and makes its text of it. What to do
about an error is read from its class (``retryable``, ``reaskable``, ``fatal``, ``exit_code``), never from its message.
"""

from __future__ import annotations

from typing import ClassVar


class FlairError(Exception):
    """Base of every deliberate error. Its text is written for the person who reads it."""

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False
    reaskable: ClassVar[bool] = False
    fatal: ClassVar[bool] = False
    """True where every other call would fail in the same way: the run stops at once."""
    maybe_billed: ClassVar[bool] = False
    """True where the server may have done the work, and charge for it, though no answer came."""

    says: ClassVar[str] = "{}"
    """The text, with a place for the first argument."""

    def __str__(self) -> str:
        return self.says.format(self.args[0]) if self.args else type(self).__name__


def _run_id(error: FlairError) -> str:
    return str(error.args[0])


class InputError(FlairError):
    """What was given cannot be used; the message names the file and the record."""

    exit_code = 2


class RunNotFound(InputError):
    """No run has this id here, or its time to live has passed."""

    says = "There is no run {!r} here. `flair runs` lists the runs that exist."
    run_id = property(_run_id)


class ScriptNotFound(InputError):
    """The run has no script of this id."""


class ProviderError(FlairError):
    """A model provider did not give a usable answer. ``retry_after_s`` is what it asked us to wait, if it said."""

    exit_code = 3

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message, retry_after_s)
        self.retry_after_s = retry_after_s


class MissingKey(ProviderError):
    """The provider needs an API key and none is set."""

    fatal = True


class AuthRefused(ProviderError):
    """The provider refused our key (401 or 403)."""

    fatal = True


class ModelNotFound(ProviderError):
    """The provider does not know the model (404)."""

    fatal = True


class BadRequest(ProviderError):
    """The provider will never accept this request (400 or 422)."""


class RateLimited(ProviderError):
    """The provider said 429."""

    retryable = True


class ServerTrouble(ProviderError):
    """The provider failed on its side (5xx)."""

    retryable = True


class ConnectionLost(ProviderError):
    """The connection was reset or cut before an answer came."""

    retryable = True
    maybe_billed = True


class Unreachable(ConnectionLost):
    """No connection could be made: the server never saw the call."""

    maybe_billed = False


class CallTimeout(ProviderError):
    """No answer came before the call's deadline."""

    retryable = True
    maybe_billed = True


class AnswerError(ProviderError):
    """An answer came, and was paid for, but is of no use."""


class InvalidAnswer(AnswerError):
    """The answer does not fit its schema or breaks a rule of its stage; the message is the reason."""

    reaskable = True


class Flawed(InvalidAnswer):
    """The answer breaks a rule that the model may mend; ``output`` is what it comes to, its faults noted."""

    def __init__(self, message: str, output: object) -> None:
        super().__init__(message)
        self.args = (message, output)  # what pickle makes it of again
        self.output = output


class Truncated(AnswerError):
    """The answer was cut off at the output token limit."""

    reaskable = True


class Refused(AnswerError):
    """The model declined to answer."""


class InfrastructureError(FlairError):
    """Something of ours that runs failed: Redis, Ray, a disk."""

    exit_code = 4


class StoreUnavailable(InfrastructureError):
    """Redis cannot be reached or started; ``run_id`` where that stopped a run."""

    def __init__(self, message: str, run_id: str | None = None) -> None:
        super().__init__(message, run_id)
        self.run_id = run_id


class ClusterUnavailable(InfrastructureError):
    """Ray cannot be reached or started."""


class ArchiveUnavailable(InfrastructureError):
    """What is kept for good, S3, DynamoDB or the data directory, cannot be reached."""


class LimiterFull(InfrastructureError):
    """More calls wait for one provider account than its limiter keeps."""


class ShardLost(InfrastructureError):
    """The worker process or node that carried a shard died before its items were done."""


class LeaseLost(InfrastructureError):
    """Another driver holds this run now; this one must stop writing."""

    says = "Run {0} is driven by another process now. `flair tail {0}` follows it."
    run_id = property(_run_id)


class RunError(FlairError):
    """The run as a whole cannot go on."""


class RunConflict(RunError):
    """The run's state or configuration forbids what was asked."""

    exit_code = 2


class RunOutdated(RunConflict):
    """The run began under other prompts or answer schemas; its answers and new ones must not mix."""

    says = (
        "Run {0} was begun with other prompts or answer schemas than this version has. Its answers "
        "cannot be mixed with new ones: export what it has (`flair export {0}`) and start a new run."
    )
    run_id = property(_run_id)


class BudgetSpent(RunError):
    """The run's cap leaves no room for another call."""

    exit_code = 5


class StageFailed(RunError):
    """Too many items of one stage failed. ``exit_code`` is that of the commonest cause."""

    def __init__(self, message: str, stage: str, exit_code: int = 3) -> None:
        super().__init__(message, stage, exit_code)
        self.stage = stage
        self.exit_code = exit_code  # type: ignore[misc]  # the cause decides, per instance


class RunInterrupted(RunError):
    """This process was told to stop in the middle of a run, which stays open."""

    exit_code = 130
    says = "Interrupted. What was recorded is kept: `flair resume {0}` goes on with it."
    run_id = property(_run_id)
