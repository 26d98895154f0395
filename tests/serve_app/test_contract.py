"""Every route: its fields, its status codes, and that what is refused says why."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from flair_ray.config import Settings
from flair_ray.domain.ids import RunId
from flair_ray.errors import LeaseLost
from flair_ray.stores.redis_store import RedisRunStore, connect
from serve_app.models import StartBody
from tests.serve_app.conftest import BODY, PROFILE, LocalHosts, Serve
from tests.serve_app.reading import watch

Started = Callable[..., Awaitable[str]]
NO_RUN = "00000000-0000-4000-8000-000000000000"
STAGES = ["S1_MAP", "S2_REDUCE", "S3_SEQUENTIAL", "S4_MAP", "S5_REDUCE", "S6_PERSONALIZE"]


async def test_a_run_from_its_start_to_its_files(api: httpx2.AsyncClient, started: Started) -> None:
    run_id = await started(api, session="ada")
    assert len(run_id) == 36
    events = await watch(api, run_id)
    assert events[-1]["event"] == "pipeline_complete"

    result = (await api.get(f"/api/pipeline/results/{run_id}")).json()
    assert {"run_id", "results", "creator_profile", "completed_at"} <= result.keys()
    assert len(result["creator_profile"]) == 9
    assert [row["rank"] for row in result["results"]] == [1, 2, 3]
    for row in result["results"]:
        fields = {"script_id", "original_script", "personalized_script", "video_prompt", "rank", "vote_score"}
        assert fields <= row.keys()
        original = {"script_id", "pattern_used", "hook", "body", "payoff", "estimated_duration", "structural_notes"}
        assert original <= row["original_script"].keys()
        assert isinstance(row["vote_score"], float | int)
        assert isinstance(row["original_script"]["estimated_duration"], float | int)

    listed = (await api.get("/api/runs", params={"session_id": "ada"})).json()["runs"]
    row = next(row for row in listed if row["run_id"] == run_id)
    contract = {
        "run_id": run_id,
        "status": "completed",
        "current_stage": "S6_PERSONALIZE",
        "stages": dict.fromkeys(STAGES, "completed"),
    }
    assert contract.items() <= row.items()
    assert row["title"] == BODY["creator_profile"]["tone"]
    one = (await api.get(f"/api/runs/{run_id}")).json()
    assert row.items() <= one.items()
    assert one["configuration"]["num_videos"] == 12
    assert one["spend"]["calls"]["calls"] == 28

    ranking = (await api.get(f"/api/runs/{run_id}/ranking")).json()
    assert [row["rank"] for row in ranking["rows"]] == list(range(1, 7))

    report = await api.get(f"/api/runs/{run_id}/files/report.html")
    assert report.headers["content-type"].startswith("text/html")
    assert report.headers["content-security-policy"].startswith("sandbox")
    archive = zipfile.ZipFile(io.BytesIO((await api.get(f"/api/runs/{run_id}/files/run.zip")).content))
    srt = next(name for name in archive.namelist() if name.endswith(".srt"))
    assert (await api.get(f"/api/runs/{run_id}/files/{srt}")).content == archive.read(srt)
    for name in ("nothing.html", "..%2F..%2Fetc%2Fpasswd", "scripts"):
        assert (await api.get(f"/api/runs/{run_id}/files/{name}")).status_code == 404


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_videos": 0}, "num_videos"),
        ({"num_scripts": -1}, "num_scripts"),
        ({"num_personas": 10**9}, "num_personas"),
        ({"num_videos": 10**9}, "num_videos"),
        ({"top_n": "many"}, "top_n"),
        ({"num_videos": 2.5}, "num_videos"),
        ({"reasoning_model": "oracle"}, "oracle"),
        ({"reasoning_model": "kimi"}, "MOONSHOT_API_KEY"),
        ({"reasoning_model": None}, "reasoning_model"),
        ({"model": ""}, "model"),
        ({"model": "x" * 129}, "model"),
        ({"model": 5}, "model"),
        ({"reasoning_model": "local", "model": "/etc/passwd"}, "model: "),
        ({"creator_profile": {"tone": "dry"}}, "creator_profile"),
        ({"creator_profile": None}, "creator_profile"),
        ({"video_set_id": "unknown"}, "unknown"),
        ({"max_usd": -1}, "max_usd"),
        ({"max_usd": 1e308}, "max_usd"),
        ({"max_usd": "1"}, "max_usd"),
        ({"voter_model": "kimi"}, "MOONSHOT_API_KEY"),
        ({"voter_model": "local:/etc/passwd"}, "voter_model"),
        ({"reasoning_model": "local", "voter_model": "/etc/passwd"}, "voter_model"),
        ({"rigor": "extreme"}, "rigor"),
        ({"refine": "yes"}, "refine"),
        ({"refine": 1}, "refine"),
        ({"num_videos": "2"}, "num_videos"),
        ({"num_videos": True}, "num_videos"),
    ],
)
async def test_a_start_that_makes_no_sense_is_refused_and_says_why(
    quiet_api: httpx2.AsyncClient, changes: dict[str, Any], said: str
) -> None:
    answer = await quiet_api.post("/api/pipeline/start", json=BODY | changes)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert "--" not in answer.json()["detail"]


async def test_a_refusal_names_each_field_for_a_form(quiet_api: httpx2.AsyncClient) -> None:
    wrong = BODY | {"creator_profile": PROFILE | {"tone": " "}, "num_scripts": 201}
    errors = (await quiet_api.post("/api/estimate", json=wrong)).json()["errors"]
    assert [(error["field"], error["type"]) for error in errors] == [
        ("creator_profile.tone", "string_too_short"),
        ("num_scripts", "value_error"),
    ]
    assert errors[1]["message"].endswith("201 is above the limit of 200")


async def test_a_local_model_is_not_named_by_whoever_asks(quiet_api: httpx2.AsyncClient) -> None:
    local = BODY | {"reasoning_model": "local"}
    for field, file in (("model", "/etc/passwd"), ("model", "local"), ("voter_model", "/etc/passwd")):
        errors = (await quiet_api.post("/api/estimate", json=local | {field: file})).json()["errors"]
        assert [error["field"] for error in errors] == [field]
        assert file not in errors[0]["message"] or file == "local"


async def test_a_start_may_choose_among_a_providers_models(
    quiet_api: httpx2.AsyncClient, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOONSHOT_API_KEY", "never-sent")
    monkeypatch.setenv("FLAIR_KIMI_MODEL", "the-servers-choice")
    for changes, wanted in (({"model": "kimi-k2.5"}, "kimi-k2.5"), ({"model": None}, "the-servers-choice")):
        asked = {"reasoning_model": "kimi", **changes}
        estimated = (await quiet_api.post("/api/estimate", json=BODY | asked)).json()
        run = (await quiet_api.get(f"/api/runs/{await started(quiet_api, **asked)}")).json()
        for found in (estimated, run, run["configuration"]):
            assert (found["provider"], found["model"]) == ("kimi", wanted)
        assert run["configuration"]["voter_model"] == wanted


def test_a_start_without_a_model_is_the_same_as_before_there_was_one(settings: Settings) -> None:
    """Or starts under one key would differ while a server is replaced."""
    for changes, kept in (({}, False), ({"model": None}, False), ({"model": "another"}, True)):
        body = StartBody.model_validate(BODY | changes, context={"settings": settings})
        assert ('"model"' in body.model_dump_json()) is kept


@pytest.mark.parametrize("raw", [b"", b"{", b"[" * 100_000, b"\xff", b'{"num_videos": NaN}', b"[]", b"null"])
async def test_a_body_that_is_no_order_is_refused(quiet_api: httpx2.AsyncClient, raw: bytes) -> None:
    answer = await quiet_api.post("/api/pipeline/start", content=raw)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


async def test_a_body_that_is_too_large_is_refused(quiet_api: httpx2.AsyncClient) -> None:
    answer = await quiet_api.post("/api/pipeline/start", content=b" " * (1024**2 + 1))
    assert answer.status_code == 413
    assert answer.json()["detail"]


async def test_how_large_a_body_may_be_is_a_setting(serve_api: Serve, settings: Settings) -> None:
    async with serve_api(settings.model_copy(update={"max_body_bytes": 2_000})) as client:
        assert (await client.post("/api/estimate", json=BODY)).status_code == 200
        refused = await client.post("/api/estimate", json=BODY | {"padding": "x" * 2_000})
        assert (refused.status_code, "2,000 bytes" in refused.json()["detail"]) == (413, True)
        file = {"file": ("me.json", json.dumps(PROFILE | {"padding": "x" * 2_000}).encode())}
        assert (await client.post("/api/creator-profiles", files=file)).status_code == 413


async def test_what_is_clamped_or_ignored_is_said(quiet_api: httpx2.AsyncClient, started: Started) -> None:
    run_id = await started(quiet_api, num_videos=500, top_n=50, video_model="veo")
    warnings = " ".join((await quiet_api.get(f"/api/runs/{run_id}")).json()["warnings"])
    for said in ("500 videos", "50 results", "video_model"):
        assert said in warnings


async def test_equal_starts_under_one_key_make_one_run(quiet_api: httpx2.AsyncClient) -> None:
    headers = {"Idempotency-Key": "once"}

    async def start(body: dict[str, Any], session: str = "one") -> httpx2.Response:
        return await quiet_api.post(f"/api/pipeline/start?session_id={session}", json=body, headers=headers)

    answers = await asyncio.gather(*(start(BODY) for _ in range(5)))
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    for other in ({"seed": 8}, {"model": "another"}):
        assert (await start(BODY | other)).status_code == 422
    assert (await start(BODY | {"model": None})).json() == answers[0].json()
    assert (await start(BODY, session="two")).json()["run_id"] != answers[0].json()["run_id"]


async def test_what_there_is_not_is_a_404(quiet_api: httpx2.AsyncClient) -> None:
    for run_id in (NO_RUN, "nothing", "x:events", "%2e%2e"):
        for method, path in (
            ("GET", "/api/pipeline/status/{}"),
            ("GET", "/api/pipeline/results/{}"),
            ("POST", "/api/pipeline/{}/recover"),
            ("POST", "/api/pipeline/{}/cancel"),
            ("GET", "/api/runs/{}"),
            ("GET", "/api/runs/{}/ranking"),
            ("GET", "/api/runs/{}/files/report.html"),
            ("DELETE", "/api/runs/{}"),
        ):
            answer = await quiet_api.request(method, path.format(run_id))
            assert answer.status_code == 404, (method, path, run_id, answer.text)
            assert answer.json()["detail"]
    assert (await quiet_api.get("/nowhere")).json()["detail"]
    assert (await quiet_api.put("/api/runs")).status_code == 405


async def test_a_run_is_cancelled_and_recovered(
    quiet_api: httpx2.AsyncClient, started: Started, hosts: LocalHosts
) -> None:
    run_id = await started(quiet_api)
    assert (await quiet_api.get(f"/api/pipeline/results/{run_id}")).status_code == 409
    assert (await quiet_api.get(f"/api/runs/{run_id}/ranking")).status_code == 409
    assert (await quiet_api.post(f"/api/pipeline/{run_id}/cancel")).status_code == 202
    assert (await quiet_api.get(f"/api/runs/{run_id}")).json()["status"] == "cancelled"
    assert (await quiet_api.post(f"/api/pipeline/{run_id}/cancel")).status_code == 409
    again = await quiet_api.post(f"/api/pipeline/{run_id}/recover", headers={"X-Request-ID": "again-1"})
    assert again.status_code == 202
    hosts.wake()
    events = await watch(quiet_api, run_id)
    names = [event["event"] for event in events]
    assert events[names.index("pipeline_recovered")]["data"]["request_id"] == "again-1"
    assert names.index("pipeline_cancelled") < names.index("pipeline_recovered")
    assert names[-1] == "pipeline_complete"
    assert (await quiet_api.post(f"/api/pipeline/{run_id}/recover")).status_code == 409


async def test_a_run_that_somebody_drives_is_not_recovered(
    quiet_api: httpx2.AsyncClient, started: Started, store: RedisRunStore
) -> None:
    run_id = await started(quiet_api)
    await store.acquire(RunId(run_id), 5)
    assert (await quiet_api.post(f"/api/pipeline/{run_id}/recover")).status_code == 409


async def test_a_deleted_run_leaves_nothing(api: httpx2.AsyncClient, started: Started, redis_url: str) -> None:
    done, other = await started(api), await started(api)
    await asyncio.gather(watch(api, done), watch(api, other))
    assert (await api.delete(f"/api/runs/{done}")).status_code == 204
    async with asyncio.timeout(10):  # whoever was keeping it for good just then forgets it when done
        while done in (await api.get("/api/runs")).text or (await api.get(f"/api/runs/{done}")).status_code != 404:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert (await api.get(f"/api/runs/{other}")).status_code == 200
    async with connect(redis_url) as redis:
        assert [key async for key in redis.scan_iter(f"*{done}*")] == []
        await redis.connection_pool.aclose()


async def test_a_run_under_way_is_cancelled_and_deleted(quiet_api: httpx2.AsyncClient, started: Started) -> None:
    run_id = await started(quiet_api)
    assert (await quiet_api.delete(f"/api/runs/{run_id}")).status_code == 204
    assert (await quiet_api.delete(f"/api/runs/{run_id}")).status_code == 404


async def test_a_run_whose_driver_died_is_deleted_when_its_lease_ends(
    quiet_api: httpx2.AsyncClient, started: Started, store: RedisRunStore
) -> None:
    run_id = await started(quiet_api)
    lease = await store.acquire(RunId(run_id), 0.2)
    assert (await quiet_api.delete(f"/api/runs/{run_id}")).status_code == 204
    with pytest.raises(LeaseLost):
        await store.renew(lease, 1)


async def test_a_page_from_elsewhere_starts_nothing(quiet_api: httpx2.AsyncClient) -> None:
    for origin, status in (
        ("https://elsewhere.example", 403),
        ("null", 403),
        (f"http://{quiet_api.base_url.netloc.decode()}", 200),
    ):
        answer = await quiet_api.post("/api/pipeline/start", json=BODY, headers={"Origin": origin})
        assert answer.status_code == status
        assert "detail" in answer.json() or status == 200
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers


async def test_what_a_form_is_filled_with(quiet_api: httpx2.AsyncClient) -> None:
    assert (await quiet_api.get("/api/providers")).json()["reasoning"][0] == "offline"
    prompts = (await quiet_api.get("/api/prompts/preview")).json()
    assert prompts.keys() == {
        *("s1", "s3", "s3_feedback", "s4", "s4_feedback", "s6"),
        *("refine_edit", "refine_compare"),
    }
    assert "{video}" in prompts["s1"]
    samples = (await quiet_api.get("/api/creator-profiles/samples")).json()
    assert len(samples) >= 6
    assert all(sample.keys() == {"id", "label", "description", "profile"} for sample in samples)
    estimated = (await quiet_api.post("/api/estimate", json=BODY | {"creator_profile": samples[0]["profile"]})).json()
    assert estimated["calls"] == 28
    assert estimated["usd"].keys() == {"low", "expected", "high"}
    more = estimated["refine"]  # 3 scripts of 3 viewers each, 2 of 7 who choose, 5 who judge twice
    assert (more["calls"], more["included"]) == (21, False)
    asked = (await quiet_api.post("/api/estimate", json=BODY | {"refine": True})).json()
    assert (asked["calls"], asked["refine"]) == (28 + 21, more | {"included": True})


async def test_health_names_the_part_that_fails(quiet_api: httpx2.AsyncClient, hosts: LocalHosts) -> None:
    assert (await quiet_api.get("/api/health")).json() == {"status": "ok"}
    hosts.reachable = False
    answer = await quiet_api.get("/api/health")
    assert answer.status_code == 503
    assert "host" in answer.json()["detail"]
    assert answer.headers["retry-after"]


async def test_uploaded_videos_are_what_a_run_is_made_of(api: httpx2.AsyncClient, started: Started) -> None:
    table = "id,transcript\na,Nobody tells you this about rice and it changes\nb,Stop salting pasta like that now\n,\n"
    answer = await api.post("/api/videos", files={"file": ("../../mine.csv", table.encode())})
    assert answer.status_code == 201, answer.text
    assert answer.json()["report"]["usable"] == 2
    run_id = await started(api, video_set_id=answer.json()["video_set_id"], num_videos=5)
    first, *_ = await watch(api, run_id)
    assert first["data"]["total_videos"] == 2


async def test_a_folder_of_files_is_uploaded_as_one(quiet_api: httpx2.AsyncClient) -> None:
    texts = {"one.txt": "A first transcript with enough words in it", "sub/two.txt": "And a second one, about soup"}
    files = [("files", (name, text.encode())) for name, text in texts.items()]
    answer = await quiet_api.post("/api/videos", files=files)
    assert (answer.status_code, answer.json()["report"]["found"]) == (201, 2)


async def test_uploads_that_cannot_be_used_say_why(quiet_api: httpx2.AsyncClient) -> None:
    async def send(name: str, content: bytes) -> httpx2.Response:
        return await quiet_api.post("/api/videos", files={"file": (name, content)})

    assert (await quiet_api.post("/api/videos", json={})).status_code == 415
    assert (await send("film.mp4", b"x")).status_code == 415
    broken = await send("mine.json", b"{")
    assert broken.status_code == 422
    assert "mine.json" in broken.json()["detail"]
    assert "/" not in broken.json()["detail"].replace("application/json", "")
    garbled = await quiet_api.post(
        "/api/videos", content=b"x", headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert garbled.status_code == 422
    assert json.loads(garbled.text)["detail"]


async def test_a_profile_that_is_sent_is_answered_for_a_start(quiet_api: httpx2.AsyncClient, started: Started) -> None:
    sent = PROFILE | {"tone": " très  dry ", "vocabulary": ["simmer", " "], "niche": None, "shoe_size": 43}
    text = json.dumps(sent, ensure_ascii=False)
    for content in (text.encode(), text.encode("utf-8-sig"), text.encode("utf-16")):
        answer = await quiet_api.post("/api/creator-profiles", files={"file": ("../../me.JSON", content)})
        assert answer.status_code == 200, answer.text
        profile = answer.json()
        assert (PROFILE | {"tone": "très dry", "niche": "", "own_transcripts": []}).items() <= profile.items()
        assert len(profile) == 10
    run_id = await started(quiet_api, creator_profile=profile)
    kept = (await quiet_api.get(f"/api/runs/{run_id}")).json()["configuration"]["profile"]
    assert kept == profile


async def test_a_profile_that_cannot_be_used_says_why(quiet_api: httpx2.AsyncClient) -> None:
    async def send(name: str, content: bytes) -> httpx2.Response:
        return await quiet_api.post("/api/creator-profiles", files={"file": (name, content)})

    wrong = await send("me.json", json.dumps({"tone": "", "vocabulary": ["x" * 2_001], "catchphrases": []}).encode())
    assert wrong.status_code == 422
    assert "me.json: this profile cannot be used: missing topics_to_avoid" in wrong.json()["detail"]
    assert [(error["field"], error["type"]) for error in wrong.json()["errors"]] == [
        ("tone", "string_too_short"),
        ("vocabulary.0", "string_too_long"),
        ("topics_to_avoid", "missing"),
    ]
    for content, said in ((b"{", "broken JSON"), (b"[]", "not an object"), (b"", "empty"), (b"\xff{}", "not UTF-8")):
        answer = await send("me.json", content)
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith("me.json: ")
        assert said in answer.json()["detail"]
    two = [("file", ("a.json", b"{}")), ("file", ("b.json", b"{}"))]
    assert (await quiet_api.post("/api/creator-profiles", files=two)).status_code == 422
    assert (await quiet_api.post("/api/creator-profiles", files={"file": (None, "{}")})).status_code == 422
    assert (await quiet_api.post("/api/creator-profiles", json=PROFILE)).status_code == 415
    assert (await send("me.yaml", json.dumps(PROFILE).encode())).status_code == 415
    assert (await send("me.json", b" " * (1024**2 + 1))).status_code == 413


def test_the_profile_here_has_only_what_is_required() -> None:
    assert PROFILE.keys() == {"tone", "vocabulary", "catchphrases", "topics_to_avoid"}
