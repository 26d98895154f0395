"""The `flair` command. Standard output carries results, standard error everything else; exit codes say
whose move it is: 0 done, 2 bad input, 3 provider, 4 infrastructure, 5 cap reached, 130 interrupted or cancelled."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, nullcontext, redirect_stdout, suppress
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console

from flair_ray.cli_mock import LOCALHOST, mock_llm
from flair_ray.cli_options import Given, with_run_options
from flair_ray.cli_watch import heed_sigterm, shown
from flair_ray.domain.events import Event
from flair_ray.errors import FlairError, InputError, RunConflict, RunInterrupted
from flair_ray.options import RunOptions
from flair_ray.telemetry import logs

if TYPE_CHECKING:
    from flair_ray.config import Settings
    from flair_ray.result import RunResult
    from flair_ray.wiring import OpenStore

T = TypeVar("T")
INTERRUPTED = RunInterrupted.exit_code
BEGUN_S = time.time() - time.process_time()
"""When the command began: until here it has only been importing, which is all CPU time."""
app = typer.Typer(
    name="flair",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""From a creator's profile and a folder of viral videos to ten ranked, personalised scripts.

Start with `flair run`: it needs no key, no file and no server. Then give it your own: `flair run --videos
my_videos/ --profile me.json`.""",
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
Address = Annotated[
    str | None,
    typer.Option("--address", envvar="RAY_ADDRESS", help="A Ray cluster to join. Default: a local one, for this run."),
]
OutDir = Annotated[
    Path | None, typer.Option("--out", help="Where to write. Default: the run's folder in the data directory.")
]
OwnRunId = Annotated[
    str | None,
    typer.Option(
        "--run-id", help="An id of your own. The same again goes on with that run, or shows it: nothing is paid twice."
    ),
]
RunArg = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, as `flair runs` prints it.")]

out = Console()
err = Console(stderr=True)


@app.command()
@with_run_options
def run(
    given: Given, run_id: OwnRunId = None, out_dir: OutDir = None, as_json: Json = False, address: Address = None
) -> None:
    """Make scripts: analyze videos, find patterns, write, vote, rank, personalise."""
    from flair_ray.api import made_before, make_order, submit
    from flair_ray.terminal.live import watch
    from flair_ray.wiring import open_studio

    options = RunOptions(**given, run_id=run_id, out_dir=out_dir, address=address)
    settings = _settings()
    choice, order = make_order(options, settings)
    _say(f"using {choice.model.provider} ({choice.model.model}): {choice.why}.")

    async def work() -> RunResult:
        if made := await made_before(options, order, settings):
            _say(f"run {made.run_id} was completed before: nothing is called.")
            return made
        with watch(err) as view:
            async with open_studio(settings, choice, address, order.voter_model) as studio:
                recorded = await submit(studio.store, order, settings, run_id)
                return await shown(studio, recorded, settings, out_dir, view, BEGUN_S, join=run_id is not None)

    _finish(_run(work()), as_json)


@app.command()
@with_run_options
def submit(
    given: Given,
    run_id: OwnRunId = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow a job, and leave with its exit code.")] = True,
    as_json: Json = False,
    address: Annotated[
        str | None,
        typer.Option(
            "--address", envvar="RAY_ADDRESS", help="http://HOST:8265, its job server, or HOST:6379, the hosts."
        ),
    ] = None,
) -> None:
    """Hand a run in to a cluster: as a job that is followed, or to its run hosts, for `flair tail` to follow."""
    from flair_ray.api import make_order
    from flair_ray.cli_submit import is_job_server, to_hosts, to_job_server

    if not address:
        raise InputError("Name the cluster that is to carry the run: --address http://HOST:8265, or RAY_ADDRESS.")
    settings, as_job = _settings(), is_job_server(address)
    choice, order = make_order(RunOptions(**given), settings, keyless=as_job)
    if as_job:
        tell = partial(print, end="", flush=True, file=sys.stderr if as_json else sys.stdout)
        name, job_id, code = _run(to_job_server(given, address, run_id, _say, tell if wait else None))
        _print({"run_id": name, "job_id": job_id, "exit_code": code}, as_json, "" if wait else job_id)
        raise typer.Exit(code or 0)
    _say(f"using {choice.model.provider} ({choice.model.model}): {choice.why}.")
    recorded = _run(to_hosts(order, settings, address, run_id))
    document = {"run_id": recorded, "status": "pending"}
    _print(document, as_json, f"Handed in {recorded}. `flair tail {recorded}` follows it.")


@app.command()
@with_run_options
def estimate(given: Given, as_json: Json = False) -> None:
    """What a run with these options would take: calls, tokens, dollars, time. Nothing is started or spent."""
    from flair_ray.api import foresee
    from flair_ray.terminal.tables import estimate_table, refine_line

    spec, found = foresee(RunOptions(**given), _settings())
    if as_json:
        document = {"provider": spec.model.provider, "model": spec.model.model, **found.document()}
        _print(document, as_json)
        return
    out.print(estimate_table(found))
    lasts = f"about {found.duration_s:,.0f} s, and a few to start"
    lines = (f"{spec.model.provider} ({spec.model.model}): {lasts}", f"price: {found.price or 'unknown'}")
    for line in (*lines, refine_line(found), *spec.warnings):
        out.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)


@app.command()
def resume(run_id: RunArg, out_dir: OutDir = None, as_json: Json = False, address: Address = None) -> None:
    """Go on with a run that was interrupted, failed or cancelled. What was paid for is not paid again."""
    from flair_ray.domain.ids import RunId
    from flair_ray.terminal.live import watch
    from flair_ray.wiring import choose_model, open_store, open_studio

    settings = _settings()

    async def work() -> RunResult:
        async with open_store(settings, visiting=True) as opened:
            spec = await opened.store.spec(RunId(run_id))
        choice = choose_model(spec.model.provider, spec.model.model, spec.model.base_url)
        with watch(err) as view:
            async with open_studio(settings, choice, address, spec.voter_model) as studio:
                return await shown(studio, RunId(run_id), settings, out_dir, view, BEGUN_S)

    _finish(_run(work()), as_json)


@app.command()
def ingest(
    path: Annotated[Path, typer.Argument(help="What you would give to `flair run --videos`.")], as_json: Json = False
) -> None:
    """Look at a collection of videos: what was found, what is usable, what is skipped and why."""
    from flair_ray.inputs import read_videos
    from flair_ray.terminal.tables import ingest_table

    report = read_videos(path, max_transcript_bytes=_settings().max_transcript_bytes).to_dict()
    _print(report, as_json) if as_json else out.print(ingest_table(report))


@app.command()
def runs(as_json: Json = False) -> None:
    """List the runs of this data directory, oldest first."""
    from flair_ray.terminal.tables import run_document, runs_table

    async def work() -> None:
        async with _opened() as opened:
            found = await opened.runs.rows()
        _print({"runs": [run_document(r) for r in found]}, as_json) if as_json else out.print(runs_table(found))

    _run(work())


@app.command()
def tail(
    run_id: RunArg, as_json: Annotated[bool, typer.Option("--json", help="One event per line, as JSON.")] = False
) -> None:
    """Follow a run from its first event to its last, from any terminal."""
    from flair_ray.api import follow
    from flair_ray.domain.ids import RunId
    from flair_ray.terminal.live import watch

    async def work() -> None:
        async with _opened() as opened:
            snapshot = await opened.store.snapshot(RunId(run_id))
            with nullcontext(_print_event) if as_json else watch(out) as tell:
                await follow(opened.store, snapshot.run_id, tell)

    _run(work())


@app.command()
def cancel(run_id: RunArg, as_json: Json = False) -> None:
    """Stop a run. What it has is kept: `flair export` writes it, `flair resume` goes on."""
    from flair_ray.domain.ids import RunId

    settings = _settings()

    async def work() -> str:
        """Ask until it has happened: whoever drove the run may be dead, and its lease must end first."""
        async with _opened(settings) as opened:
            await opened.store.request_cancel(RunId(run_id))
            for _ in range(round(settings.lease_ttl_s) + 3):
                status = (await opened.store.snapshot(RunId(run_id))).status
                if status.terminal:
                    break
                await asyncio.sleep(1)
                with suppress(RunConflict):
                    await opened.store.request_cancel(RunId(run_id))
            await opened.keeper.keep_ended()
            return status.value

    status = _run(work())
    _print({"run_id": run_id, "status": status, "cancel_requested": True}, as_json, f"Run {run_id} is {status}.")


@app.command()
def export(run_id: RunArg, out_dir: OutDir = None, as_json: Json = False) -> None:
    """Write a run's files again: report, scripts, ballots, captions, ZIP. Works on unfinished runs too."""
    from flair_ray.api import export_run
    from flair_ray.domain.ids import RunId

    settings = _settings()

    async def work() -> tuple[str, Path]:
        async with _opened(settings) as opened:
            return await export_run(opened.runs, RunId(run_id), settings, out_dir)

    status, folder = _run(work())
    _print({"run_id": run_id, "status": status, "out_dir": str(folder)}, as_json, f"Wrote {folder}")


@app.command()
def posted(
    context: typer.Context,
    run_id: RunArg,
    script_id: Annotated[str, typer.Argument(metavar="SCRIPT", help="A script's id, such as S07.")],
    platform: Annotated[str, typer.Option(help="Where: one word, such as tiktok.")],
    post_url: Annotated[str, typer.Option("--url", help="The post's address.")],
    views: Annotated[int, typer.Option(help="How often it was seen.")],
    likes: Annotated[int, typer.Option(help="How many liked it.")],
    comments: Annotated[int, typer.Option(help="How many comments it has.")],
    shares: Annotated[int, typer.Option(help="How often it was shared.")],
    watch_time_avg: Annotated[float | None, typer.Option("--watch-time", help="Seconds watched, on average.")] = None,
    completion_rate: Annotated[float | None, typer.Option("--completion", help="Share who saw it all, 0 to 1.")] = None,
    as_json: Json = False,
) -> None:
    """Report how a posted script has done, so that the next run can learn from it. The same post again replaces it."""
    from flair_ray.api import report
    from flair_ray.domain.codec import plain
    from flair_ray.inputs.posts import parse_post

    post = _run(report(parse_post(context.params), _settings()))
    _print(plain(post), as_json, f"Kept. `flair insights` says what {post.session_id}'s posts have taught.")


@app.command()
def insights(
    session: Annotated[str | None, typer.Option(help="Of this session's posts only; else of all.")] = None,
    as_json: Json = False,
) -> None:
    """What posts have taught: patterns by real engagement, and how well the panel had ranked."""
    from flair_ray.api import recall
    from flair_ray.domain.codec import plain
    from flair_ray.terminal.tables import insights_table

    found = _run(recall(_settings(), session))
    _print(plain(found), as_json) if as_json else out.print(insights_table(found))


@app.command()
def video(
    run_id: RunArg,
    script_id: Annotated[
        str | None, typer.Argument(metavar="SCRIPT", help="One of its results. Default: the winner.")
    ] = None,
    provider: Annotated[
        str | None, typer.Option(help="Who makes it: animatic, veo. Default: the run's own choice, or animatic.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a script's video: its words as kinetic text over its shot list, or a clip by Veo."""
    from rich.progress import Progress

    from flair_ray.api import make_video
    from flair_ray.domain.codec import plain
    from flair_ray.domain.ids import RunId

    with Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
        task, settings = bar.add_task("making the video", total=1.0), _settings()
        tell = partial(bar.update, task)
        job, path = _run(make_video(settings, RunId(run_id), script_id, provider, lambda share: tell(completed=share)))
    _print({**plain(job), "path": str(path)}, as_json, str(path))


@app.command()
def doctor(
    as_json: Json = False,
    create_table: Annotated[
        bool, typer.Option("--create-table", help="First make the table that FLAIR_DYNAMODB_TABLE names.")
    ] = False,
) -> None:
    """Check this machine: Python, Redis, Ray, keys, disk, archive. Says what to do about what is missing."""
    from flair_ray.doctor import examine
    from flair_ray.domain.codec import plain
    from flair_ray.terminal.tables import doctor_table

    checks = _run(examine(_settings(), create_table=create_table))
    fit = all(c.ok is not False for c in checks)
    _print({"ok": fit, "checks": [plain(c) for c in checks]}, as_json) if as_json else out.print(doctor_table(checks))
    raise typer.Exit(0 if fit else 4)


@app.command()
def down(as_json: Json = False, address: Address = None) -> None:
    """End what `flair` left running: the embedded Redis of this data directory, our actors on a cluster."""
    from flair_ray.stores.embedded import stop_embedded

    stopped = ["embedded Redis"] if stop_embedded(_settings().data_dir) else []
    if address:
        from flair_ray.engine.ray_executor import connect_ray, end_residents

        connect_ray(address)
        stopped += end_residents()
    _print({"stopped": stopped}, as_json, f"Stopped: {', '.join(stopped) or 'nothing was running'}.")


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Where to listen; beyond loopback with FLAIR_API_TOKENS only.")] = LOCALHOST,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port of the API.")] = 8000,
) -> None:
    """Serve the pipeline over HTTP, on Ray Serve with its dashboard, until Ctrl-C; then runs wait for the next time."""
    from serve_app.serving import serving

    settings = _settings()

    async def work() -> None:
        with redirect_stdout(sys.stderr):
            async with serving(settings, host, port) as served:
                heed_sigterm()  # again: Ray has put its own handler in place, which aborts
                _say(f"the studio is at {served.url}, its documentation at {served.url}/docs;")
                _say(f"the API is at {served.url}/api, Ray's dashboard at {served.dashboard_url}.")
                _say(f"Redis: {served.redis}. Ctrl-C ends it all; runs that are not done go on the next time.")
                await asyncio.Event().wait()

    _run(work())


@app.command()
def token(name: Annotated[str, typer.Argument(help="Whose: a-z, 0-9, _ and -.")], as_json: Json = False) -> None:
    """Make a token for the API. It is shown this once; its entry for FLAIR_API_TOKENS does not give it away."""
    from flair_ray.domain.tenants import new_token

    made, entry = new_token(name)
    _print({"token": made, "entry": entry}, as_json, f"{made}\nIts entry, beside others: FLAIR_API_TOKENS={entry}")


app.command("mock-llm")(mock_llm)


def main() -> None:
    """Entry point: every deliberate error becomes one message and its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a script's emoji must not end a run on an ASCII terminal
    logs.set_up("WARNING")
    try:
        app()
    except FlairError as error:
        _fail(str(error), error.exit_code, getattr(error, "run_id", None))


def _settings() -> Settings:
    from flair_ray.config import known_secrets, load_settings

    settings = load_settings()
    logs.set_up(settings.log_level, settings.log_format, known_secrets(settings))
    return settings


@asynccontextmanager
async def _opened(settings: Settings | None = None) -> AsyncIterator[OpenStore]:
    from flair_ray.wiring import open_store

    async with open_store(settings or _settings(), visiting=True) as opened:
        yield opened


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; Ctrl-C and SIGTERM let it close what it opened first."""

    async def guarded() -> T:
        heed_sigterm()
        return await work

    try:
        return asyncio.run(guarded())
    except (KeyboardInterrupt, asyncio.CancelledError):
        _fail("Interrupted.", INTERRUPTED)


def _finish(result: RunResult, as_json: bool) -> None:
    """Show a result and leave with its exit code."""
    from flair_ray.terminal.tables import edits_table, ranking_table, receipt_table

    if as_json:
        _print(result.document(), as_json)
    else:
        for notice in (*result.spec.warnings, *result.disclosures):
            out.print(notice, style="dim", markup=False, highlight=False)
        if result.ranking:
            out.print(ranking_table(result))
        if result.refinement and result.refinement.trials:
            out.print(edits_table(result))
        if result.cost.usd != 0:  # there is nothing to account for where nothing can cost
            out.print(receipt_table(result))
        out.print(f"Wrote {result.out_dir}", markup=False, highlight=False, soft_wrap=True)
    if result.error:
        _say(result.error)
    raise typer.Exit(result.exit_code)


def _print(document: dict[str, Any], as_json: bool, text: str = "") -> None:
    if as_json:
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    else:
        out.print(text, markup=False, highlight=False, soft_wrap=True)


def _print_event(event: Event) -> None:
    sys.stdout.write(json.dumps(event.envelope(), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _say(message: str) -> None:
    err.print(f"flair: {message}", markup=False, highlight=False, soft_wrap=True)


def _fail(message: str, exit_code: int, run_id: str | None = None) -> NoReturn:
    if "--json" in sys.argv:
        status = "interrupted" if exit_code == INTERRUPTED else "failed"
        _print({"run_id": run_id, "status": status, "error": message, "exit_code": exit_code}, as_json=True)
    _say(message)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
