"""The page that starts runs: from its form to files on disk, what it says of mistakes, and what it remembers."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import httpx2
import pytest
from playwright.async_api import Page, Route, expect

from flair_ray.inputs.folder import READABLE
from tests.browser.conftest import Open, faults
from tests.serve_app.conftest import PROFILE

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]
HOSTILE = '<img src=x onerror="window.hit = 1"><script>window.hit = 1</script>{{7*7}}'


async def start(page: Page) -> str:
    """Presses the button; the id of the run."""
    await page.get_by_role("button", name="Write my scripts").click()
    await page.wait_for_url("**/#/runs/*")
    return page.url.rpartition("/")[2]


async def runs(api: httpx2.AsyncClient, session: str) -> list[str]:
    rows = (await api.get("/api/runs", params={"session_id": session})).json()["runs"]
    return [row["run_id"] for row in rows]


async def test_from_the_form_to_a_zip_with_one_button(api: httpx2.AsyncClient, opened: Open, tmp_path: Path) -> None:
    page = await opened(str(api.base_url))
    await expect(page.locator(".price")).to_have_text("free")
    await start(page)
    await page.get_by_role("link", name="See the results").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Scripts to film")
    async with page.expect_download() as saved:
        await page.get_by_role("link", name="Download all (ZIP)").click()
    await (await saved.value).save_as(tmp_path / "run.zip")
    with zipfile.ZipFile(tmp_path / "run.zip") as files:
        names = set(files.namelist())
        result = json.loads(files.read("result.json"))
    assert {"report.html", "scripts.md", "ranking.csv"} <= names
    for final in result["results"]:  # the page has the same names for what belongs to a script
        await page.get_by_role("button", name=final["hook"], exact=True).click()
        for label in ("Teleprompter", "Subtitles (SRT)", "Shot list (CSV)"):
            path = await page.get_by_role("link", name=label).get_attribute("href")
            assert path is not None
            assert path.partition("/files/")[2] in names
    async with page.expect_download() as saved:
        await page.get_by_role("link", name="Subtitles (SRT)").click()
    await (await saved.value).save_as(tmp_path / "one.srt")
    assert "-->" in (tmp_path / "one.srt").read_text()


async def test_a_mistake_is_said_at_its_field(api: httpx2.AsyncClient, opened: Open) -> None:
    page = await opened(str(api.base_url), "mistaken")
    tone, scripts = page.get_by_label("How you sound"), page.get_by_label("Scripts to write")
    await tone.fill("")
    await scripts.fill("100000")
    await expect(page.locator("[data-field=tone] .fault")).to_have_text("This is needed.")
    await expect(page.locator("[data-field=num_scripts] .fault")).to_contain_text("above the limit of 200")
    await expect(tone).to_have_attribute("aria-invalid", "true")
    assert not await faults(page)
    await tone.fill("dry")
    await expect(tone).not_to_have_attribute("aria-invalid", "true")
    await scripts.fill("")
    await expect(page.locator("[data-field=num_scripts] .fault")).to_have_text("This is needed.")
    await scripts.fill("6")
    await page.get_by_text("Advanced").click()
    await page.get_by_label("Seed").fill("-1")
    await page.get_by_text("Advanced").click()
    await page.get_by_role("button", name="Write my scripts").click()
    await expect(page.get_by_label("Seed")).to_be_focused()  # folded away until then
    await expect(page.locator("[data-field=seed] .fault")).to_contain_text("greater than or equal to 0")
    assert not await runs(api, "mistaken")


async def test_a_reply_that_is_lost_is_no_second_run(api: httpx2.AsyncClient, opened: Open) -> None:
    page = await opened(str(api.base_url), "lost")

    async def lose(route: Route) -> None:
        await route.fetch()
        await route.abort()

    await page.route("**/api/pipeline/start*", lose, times=1)
    await page.get_by_role("button", name="Write my scripts").click()
    await expect(page.locator(".faults")).to_contain_text("does not answer")
    run_id = await start(page)
    assert await runs(api, "lost") == [run_id]


async def test_what_was_typed_is_there_again(api: httpx2.AsyncClient, opened: Open, tmp_path: Path) -> None:
    page = await opened(str(api.base_url))
    await page.get_by_role("button", name="Plain money").click()
    words = page.get_by_label("Words you use", exact=True).last
    await words.fill("my own words")
    await words.press("Enter")
    await words.press("Backspace")
    await expect(page.get_by_text("my own words")).to_have_count(0)
    await words.fill("my own words")
    await page.get_by_label("Viewers who vote").fill("9")  # leaving the box adds what it holds
    await page.reload()
    await expect(page.get_by_text("my own words")).to_be_visible()
    await expect(page.get_by_label("Viewers who vote")).to_have_value("9")
    async with page.expect_download() as saved:
        await page.get_by_role("button", name="Save as JSON").click()
    await (await saved.value).save_as(tmp_path / "me.json")
    assert "my own words" in json.loads((tmp_path / "me.json").read_text())["vocabulary"]
    await page.get_by_role("button", name="Start over").click()
    await expect(page.get_by_text("my own words")).to_have_count(0)
    await page.locator("#profile-file").set_input_files(tmp_path / "me.json")
    await expect(page.get_by_text("my own words")).to_be_visible()
    await load(page, json.dumps(PROFILE | {"tone": "so dry"}).encode("utf-16"))
    await expect(page.get_by_label("How you sound")).to_have_value("so dry")


async def load(page: Page, content: bytes, name: str = "me.json") -> None:
    await page.locator("#profile-file").set_input_files({"name": name, "mimeType": "", "buffer": content})


async def test_a_profile_is_found_in_what_was_saved(api: httpx2.AsyncClient, opened: Open) -> None:
    page = await opened(str(api.base_url))
    tone, words = page.get_by_label("How you sound"), page.locator("[data-field=vocabulary]")
    order = {"creator_profile": PROFILE | {"tone": "from an order"}, "num_videos": 5}
    await load(page, json.dumps([{"request": order}]).encode())
    await expect(tone).to_have_value("from an order")
    await expect(page.locator("#profile-file ~ div")).to_have_text("me.json is filled in.")
    await expect(page.locator(".noted:visible")).to_have_count(0)
    part = {"Tone": 1, "vocabulary": "simmer; stew", "catchphrases": {"no": "list"}, "topics_to_avoid": [], "niche": 7}
    await load(page, json.dumps({"profile": part}).encode())
    await expect(words.locator(".chips .chip")).to_contain_text(["simmer", "stew"])
    await expect(tone).to_have_value("")
    await expect(page.locator("[data-field=tone] .fault")).to_have_text("This is needed.")
    await expect(page.locator("#profile-file ~ div")).to_contain_text("It lacks: How you sound, Catchphrases.")
    await expect(page.locator(".noted:visible")).to_have_text(["me.json has nothing for this."] * 2)
    await expect(tone).to_have_accessible_description(re.compile("me.json has nothing for this. This is needed.$"))
    assert not await faults(page)
    await load(page, json.dumps(PROFILE | {"own_transcripts": ["So, soup.", "x" * 3000]}).encode())
    await expect(page.locator("#profile-file ~ div")).to_have_text(
        "me.json is filled in, with what was said in 2 videos."
    )
    await page.reload()
    await tone.fill("dry")
    async with page.expect_request("**/api/pipeline/start**") as asked:
        await page.get_by_role("button", name="Write my scripts").click()
    sent = (await asked.value).post_data_json["creator_profile"]
    assert sent["own_transcripts"] == ["So, soup.", "x" * 2000]
    await page.wait_for_url("**/#/runs/*")


async def test_a_file_that_is_no_profile_changes_nothing(api: httpx2.AsyncClient, opened: Open) -> None:
    page = await opened(str(api.base_url))
    alert, tone = page.locator("#profile-file ~ div [role=alert]"), page.get_by_label("How you sound")
    before = await tone.input_value()
    broken, other = "this is not JSON.", "there is no profile in it"
    for n, (content, words) in enumerate(
        (
            (b"{", broken),
            (b"", broken),
            (b"\xff{}", broken),
            (b"[1, null]", other),
            (b'{"tone": [], "__proto__": {"tone": "x"}}', other),
            (b"[" * 100_000 + b"]" * 100_000, other),
            (b" " * (1 << 21), "2.1 MB; a profile has 1 MB at most."),
        )
    ):
        await load(page, content, f"{n}.json")
        await expect(alert).to_contain_text(f"{n}.json: {words}")
    assert await tone.input_value() == before
    await load(
        page,
        json.dumps(PROFILE | {"tone": "x" * 5_000, "vocabulary": [f"{HOSTILE}{n}" for n in range(9_000)]}).encode(),
    )
    await expect(page.locator(".noted:visible")).to_have_text(
        ["Only the first 2,000 characters of 5,000 are taken.", "Only the first 50 of 9,000 are taken."]
    )
    assert await page.evaluate("window.hit") is None


async def test_prompts_are_filled_while_typing(api: httpx2.AsyncClient, opened: Open) -> None:
    page = await opened(str(api.base_url))
    await page.get_by_text("What the model will be told").click()
    await page.get_by_label("How you sound").fill("as dry as toast <b>")
    await expect(page.locator("mark.filled").first).to_contain_text("Tone: as dry as toast ‹b›")
    await page.get_by_role("button", name="Vote", exact=True).click()
    await expect(page.locator("mark.slot").first).to_be_visible()
    assert not await faults(page)


async def test_hostile_words_and_videos_are_words(api: httpx2.AsyncClient, opened: Open, tmp_path: Path) -> None:
    rows = [{"id": f"v{n}", "transcript": f"{HOSTILE} Did you know this trick number {n}? Watch it."} for n in range(5)]
    table = [*rows, {"id": HOSTILE, "transcript": ""}, rows[0]]
    (tmp_path / "videos.json").write_text(json.dumps(table))
    (tmp_path / "me.json").write_text(json.dumps({name: [HOSTILE] for name in PROFILE} | {"tone": HOSTILE}))
    page = await opened(str(api.base_url))
    await page.locator("#profile-file").set_input_files(tmp_path / "me.json")
    await page.get_by_label("Your videos").check()
    await page.locator("#video-files").set_input_files(tmp_path / "videos.json")
    await expect(page.locator(".report")).to_contain_text("5 of 7")
    for fold in ("1 skipped", "1 merged as duplicates"):
        await page.get_by_text(fold).click()
    assert not await faults(page)
    await page.reload()
    await expect(page.locator(".report")).to_contain_text("5 of 7")
    await page.get_by_role("button", name="Quick").click()
    await start(page)
    await page.get_by_role("link", name="See the results").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Scripts to film")
    assert await page.evaluate("window.hit") is None
    assert not await page.locator("main img, main script").count()


NOTE_WHAT_IS_SENT = """() => {
  const { append } = FormData.prototype;
  window.sent = [];
  FormData.prototype.append = function (...given) { window.sent.push(given[2]); append.apply(this, given); };
}"""


@pytest.mark.parametrize("way", ["chosen", "dropped"])
async def test_a_folder_is_sent_without_its_videos(
    api: httpx2.AsyncClient, opened: Open, tmp_path: Path, way: str
) -> None:
    folder = tmp_path / "downloads"
    (folder / "more").mkdir(parents=True)
    for where in ("One [a1]", "more/Two [b2]"):
        about = {"id": where[-3:-1], "title": where, "duration": 20}
        (folder / f"{where}.info.json").write_text(json.dumps(about))
        (folder / f"{where}.en.vtt").write_text(f"WEBVTT\n\n00:00.000 --> 00:09.000\nDid you know {where}?\n")
        (folder / f"{where}.mp4").write_bytes(b"0" * 1000)
    page = await opened(str(api.base_url))
    await page.evaluate(NOTE_WHAT_IS_SENT)
    await page.get_by_label("Your videos").check()
    if way == "chosen":
        await page.locator("#video-folder").set_input_files(folder)
    else:
        await drop(page, folder)
    await expect(page.locator(".report dd").first).to_have_text("2 of 2")
    kinds = ("One [a1].en.vtt", "One [a1].info.json", "more/Two [b2].en.vtt", "more/Two [b2].info.json")
    assert sorted(await page.evaluate("window.sent")) == [f"downloads/{kind}" for kind in kinds]
    await expect(page.locator(".cost")).to_contain_text("downloads")


async def test_a_folder_of_odd_files_is_reported_and_kept_in_short(
    api: httpx2.AsyncClient, opened: Open, tmp_path: Path
) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    for n in range(250):
        (folder / f"clip {n:03} [x{n}].info.json").write_bytes((b"", b"not json", b"[]", b'{"title": "t"}')[n % 4])
    for n in (3, 7):
        (folder / f"clip {n:03} [x{n}].en.vtt").touch()
    (folder / "good [y].en.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:09.000\nDid you know this trick?\n")
    for name in ("film.mp4.part", "good [y].live_chat.json", "notes.docx"):
        (folder / name).write_bytes(b"0" * 1000)
    page = await opened(str(api.base_url), "odd")
    await page.get_by_label("Your videos").check()
    await expect(page.get_by_label("Your run")).to_contain_text("none yet")
    await page.get_by_role("button", name="Write my scripts").click()
    await expect(page.locator(".report")).to_have_text("Choose your videos first, or take the sample library.")
    assert not await runs(api, "odd")
    await page.evaluate(NOTE_WHAT_IS_SENT)
    await drop(page, folder)
    await expect(page.locator(".report dd").first).to_have_text("1 of 251")
    assert await page.evaluate("window.sent.length") == 253
    await page.get_by_text("250 skipped").click()
    reasons = page.locator(".listing li")
    await expect(reasons).to_contain_text(
        [
            "63 × the file is empty",
            "63 × broken JSON at line 1",
            "62 × not an object",
            "60 × no subtitle file beside it",
            "2 × its .vtt: the file is empty",
        ]
    )
    await expect(reasons.first).to_contain_text("downloads/clip 000 [x0].info.json, downloads/clip 004 [x4].info.json")
    await expect(reasons.last).to_contain_text("clip 003 [x3].info.json, downloads/clip 007 [x7].info.json")
    assert len(await page.evaluate("localStorage['flair:draft']")) < 8_000
    assert not await faults(page)
    await page.reload()
    await expect(page.get_by_text("250 skipped")).to_be_visible()
    await page.locator("#video-files").set_input_files(folder / "film.mp4.part")
    await expect(page.locator(".report")).to_contain_text("downloads is still what is chosen.")
    await page.get_by_role("button", name="Start over").click()
    await page.get_by_label("Your videos").check()
    await expect(page.locator(".report")).to_be_empty()
    named = "async (names) => names.map((await import('/web/-/js/parts/videos.js')).isReadable)"
    assert all(await page.evaluate(named, [f"a{kind.upper()}" for kind in READABLE]))


async def drop(page: Page, path: Path) -> None:
    """As from a desktop."""
    box = await page.locator(".drop").bounding_box()
    assert box
    at = {"x": box["x"] + 9, "y": box["y"] + 9, "data": {"items": [], "files": [str(path)], "dragOperationsMask": 1}}
    session = await page.context.new_cdp_session(page)
    for step in ("dragEnter", "dragOver", "drop"):
        await session.send("Input.dispatchDragEvent", {"type": step, **at})


async def test_files_that_cannot_be_read_are_refused_in_words(
    api: httpx2.AsyncClient, opened: Open, tmp_path: Path
) -> None:
    (tmp_path / "one.csv").write_text("id,nothing\n1,2\n")
    (tmp_path / "clip.mp4").write_bytes(b"0")
    page = await opened(str(api.base_url))
    await page.get_by_label("Your videos").check()
    await page.locator("#video-files").set_input_files(tmp_path / "clip.mp4")
    await expect(page.get_by_role("alert").first).to_have_text("There is no transcript or table among these files.")
    await page.locator("#video-files").set_input_files(tmp_path / "one.csv")
    await expect(page.locator(".report")).to_contain_text("one.csv")


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that the studio finds when it begins."""
    monkeypatch.setenv("OPENAI_API_KEY", "never-sent")


@pytest.mark.usefixtures("keyed")
async def test_another_model_of_the_provider_is_named(api: httpx2.AsyncClient, opened: Open) -> None:
    page = await opened(str(api.base_url), "choosing")
    provider, name, summary = (
        page.get_by_label("Provider"),
        page.get_by_label("Model name"),
        page.get_by_label("Your run"),
    )
    await expect(provider).to_have_value("openai")
    await page.get_by_text("Advanced").click()
    await name.fill("gpt-4.1-nano")
    await expect(summary).to_contain_text("gpt-4.1-nano")
    await name.fill("x" * 129)
    await expect(page.locator("[data-field=model] .fault")).to_contain_text("at most 128 characters")
    assert not await faults(page)
    await provider.select_option("offline")
    await expect(name).to_have_value("")
    await expect(summary).to_contain_text("offline-heuristic")
    await expect(page.locator("[data-field=model] .fault")).to_be_hidden()
    await name.fill("my own")
    await expect(summary).to_contain_text("my own")
    await page.reload()
    await page.get_by_text("Advanced").click()
    await expect(name).to_have_value("my own")
    run_id = await start(page)
    assert (await api.get(f"/api/runs/{run_id}")).json()["model"] == "my own"
    await page.goto(str(api.base_url))
    await page.get_by_text("Advanced").click()
    await name.fill(" ")
    await expect(summary).to_contain_text("offline-heuristic")


async def test_edits_are_asked_for_and_stand_apart_in_the_estimate(api: httpx2.AsyncClient, opened: Open) -> None:
    page = await opened(str(api.base_url), "refined")
    await page.get_by_role("button", name="Quick").click()
    summary = page.get_by_label("Your run")
    await expect(summary).to_contain_text("Edits would add")
    await page.get_by_text("Advanced").click()
    await page.get_by_label("What would change your mind?").select_option("Ask, and judge the edits")
    await expect(summary).to_contain_text("Of these, edits")
    assert not await faults(page)
    await page.reload()
    await page.get_by_text("Advanced").click()
    await expect(page.get_by_label("What would change your mind?")).to_have_value("true")
    run_id = await start(page)
    run = (await api.get(f"/api/runs/{run_id}")).json()
    assert run["configuration"]["refine"] is True
