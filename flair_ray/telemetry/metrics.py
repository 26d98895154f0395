"""The one list of figures. The dashboard, the alerts and docs/reference/metrics.md are made from it, and tested.

Names are an interface: dashboards of others use them. Ray puts ``ray_`` before a name and ``_total`` behind a
counter's. Labels have few values: never a run, a tenant or a text. Ray adds a label per process, and its node's agent
keeps what it has heard of each as long as it lives; so figures are recorded by the processes that last, drivers, hosts,
the limiter and replicas, and never by the workers of a shard, which come and go with every stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    """Of those who say it in the last 20 s; who says nothing is not there."""
    HISTOGRAM = "histogram"
    """For quantiles: Ray passes buckets on, and its sums are made of their middles."""


@dataclass(frozen=True, slots=True)
class Metric:
    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram's."""
    cloudwatch: str = ""
    """Its name in CloudWatch, for what is published there and nowhere else."""

    @property
    def exported(self) -> str:
        """As Prometheus has it."""
        return f"ray_{self.name}" + ("_total" if self.kind is Kind.COUNTER else "")

    @property
    def series(self) -> tuple[str, ...]:
        """What Prometheus can be asked for."""
        if self.cloudwatch:
            return ()
        if self.kind is Kind.HISTOGRAM:
            return tuple(f"{self.exported}_{part}" for part in ("bucket", "count", "sum"))
        return (self.exported,)


def _calls(name: str, text: str) -> Metric:
    return Metric(name, Kind.COUNTER, "calls", text, ("provider", "stage"))


CALLS = _calls("flair_calls", "Calls of a model that came to an end, whether they helped or not.")
CALLS_FAILED = _calls("flair_calls_failed", "Those that brought an error or an unusable answer.")
CALLS_REFUSED = _calls("flair_calls_429", "Those that the provider refused for coming too fast.")
RETRIES = _calls("flair_retries", "Calls that were made again after a failure or a 429.")
REASKS = _calls("flair_reasks", "Calls that showed the model what was wrong with its answer.")
HEDGES = _calls("flair_hedges", "Calls that were sent beside a slow one.")
CACHE_HITS = _calls("flair_cache_hits", "Answers that another run had paid for.")
TOKENS = Metric(
    "flair_tokens",
    Kind.COUNTER,
    "tokens",
    "Tokens: input, cached (a part of input), output, reasoning (a part of output).",
    ("provider", "stage", "kind"),
)
SPEND = Metric(
    "flair_spend_usd",
    Kind.COUNTER,
    "US dollars",
    "What the tokens cost, for runs whose price is known.",
    ("provider", "stage"),
)
SKIPPED = Metric("flair_items_skipped", Kind.COUNTER, "items", "Items that were given up, with a reason.", ("stage",))
STAGE_S = Metric(
    "flair_stage_seconds",
    Kind.HISTOGRAM,
    "seconds",
    "From a stage's begin to its end, whoever drove it.",
    ("stage",),
    (0.1, 0.5, 1, 2, 5, 10, 20, 40, 80, 160, 320, 640, 1800, 3600, 7200),
)
RUNS_ACTIVE = Metric("flair_runs_active", Kind.GAUGE, "runs", "Runs that are driven now, by process.")
RUNS_ENDED = Metric(
    "flair_runs_ended", Kind.COUNTER, "runs", "Runs that a driver brought to an end, by how they ended.", ("status",)
)
RUNS_QUEUED = Metric(
    "flair_runs_queued",
    Kind.GAUGE,
    "runs",
    "Runs in the hosts' care that have not ended. Each host says the same number.",
)
QUEUE_AGE_S = Metric(
    "flair_queue_age_seconds",
    Kind.GAUGE,
    "seconds",
    "For how long the oldest run that nobody drives was handed in; 0: none waits. Each host says the same.",
)
PERMITS_WANTED = Metric("flair_permits_wanted", Kind.GAUGE, "calls", "Calls that wait for a permit.", ("account",))
PERMITS_HELD = Metric(
    "flair_permits_held", Kind.GAUGE, "calls", "Permits in use, those of other clusters included.", ("account",)
)
PERMIT_AGE_S = Metric(
    "flair_permit_age_seconds", Kind.GAUGE, "seconds", "How long the oldest of those calls has waited.", ("account",)
)
PERMIT_WAIT_S = Metric(
    "flair_permit_wait_seconds",
    Kind.HISTOGRAM,
    "seconds",
    "From asking for a permit to its grant.",
    ("account",),
    (0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800),
)
VIEWERS = Metric("flair_viewers", Kind.GAUGE, "streams", "Event streams that are open, by replica.")
EVENTS_LAG_S = Metric(
    "flair_events_lag_seconds",
    Kind.HISTOGRAM,
    "seconds",
    "From an event's entry in Redis, by its clock, to its viewers' queues, by the replica's.",
    (),
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
BACKLOG = Metric(
    "flair_backlog_per_worker",
    Kind.GAUGE,
    "items",
    "Items that wait for a worker, by worker; not there while they wait for permits.",
    cloudwatch="BacklogPerWorker",
)
WORKERS = Metric("flair_workers", Kind.GAUGE, "nodes", "Nodes that take work.", cloudwatch="Workers")

METRICS: tuple[Metric, ...] = tuple(value for value in globals().values() if isinstance(value, Metric))
