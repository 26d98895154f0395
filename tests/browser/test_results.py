"""What came of a run: its ranking and how sure it is, its scripts, its videos, how they did, what that has taught."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
from playwright.async_api import Page, Route, expect

from flair_ray.domain.scripts import CandidateScript, FinalScript
from flair_ray.outputs.names import stem
from flair_ray.stores.redis_store import RedisRunStore
from tests.browser.conftest import PHONE, Open, come_to_rest, faults

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]
Started = Callable[..., Awaitable[str]]
HOSTILE = '<img src=x onerror="window.hit = 1"><svg onload="window.hit = 1">'
UNFOLD = "for (const fold of document.querySelectorAll('details')) fold.open = true"
SIZES = {"num_scripts": 8, "num_personas": 12, "top_n": 4}


@pytest.fixture
async def run_id(api: httpx2.AsyncClient, started: Started, store: RedisRunStore) -> str:
    run_id = await started(api, **SIZES)
    await come_to_rest(store, run_id, "pipeline_complete")
    return run_id


async def change_result(page: Page, change: Callable[[Any], None]) -> None:
    """What the page is told instead."""

    async def changed(route: Route) -> None:
        document = await (await route.fetch()).json()
        change(document)
        await route.fulfill(json=document)

    await page.locator(".detail").wait_for()  # nothing is under way
    await page.route("**/files/result.json", changed)
    await page.reload()


def with_evidence(document: Any) -> None:
    """Ranks 4 and 5 may change places across the cut; all others are sure. The first pattern has no numbers."""
    rows = document["ranking"]["rows"]
    for row in rows:
        low, high = (4, 5) if row["rank"] in (4, 5) else (row["rank"], row["rank"])
        row |= {
            "rank_low": low,
            "rank_high": high,
            "p_top": 0.55 if high > low else float(high <= 4),
            "polarisation": 0.7,
        }
    document["library"]["entries"][0]["lift"] = None
    each = len(rows)
    segments = [("under 25", 1.0), ("25 to 39", 4.0), ("40 and over", 2.0)]
    document["ranking"]["evidence"] = {
        "draws": 2000,
        "top_n": 4,
        "above": [[0.64] * each] * each,
        "rules": [{"name": "Copeland", "ranks": [*range(each, 0, -1)]}],
        "agreement": {"kendalls_w": 0.41, "w_by_chance": 0.07, "mean_tau": 0.3},
        "position": {"slope": -0.4, "low": -0.6, "high": -0.2},
        "length": None,
        "reliability": {
            "asked_again": 3,
            "tau": 0.62,
            "same_first": 0.667,
            "copied": "S01",
            "copy": {"slope": 0.1, "low": -0.2, "high": 0.4},
            "dull_rank": 10,
            "scripts": 10,
        },
        "segments": [{"by": "age", "name": name, "voters": 4, "points": [p] * each} for name, p in segments],
    }


async def test_the_ranking_says_how_sure_it_is(api: httpx2.AsyncClient, opened: Open, run_id: str) -> None:
    page = await opened(f"{api.base_url}/#/runs/{run_id}/results")
    await change_result(page, lambda document: document["ranking"].update(evidence=None))
    await expect(page.get_by_role("columnheader", name="Points")).to_be_visible()
    await change_result(page, with_evidence)
    await expect(page.locator(".note.warn").first).to_contain_text("The cut after rank 4 is not resolved: 2 scripts")
    await expect(page.locator(".ranking tbody tr:visible")).to_have_count(5)
    await expect(page.locator(".ranking tbody td:last-child").nth(3)).to_have_text("55 %")
    await expect(page.locator(".ranking .open")).to_have_count(2)
    await expect(page.locator(".ranking .unseen").nth(3)).to_have_text("ranks 4 to 5")
    await page.get_by_role("button", name="Show all 8").click()
    await expect(page.locator(".ranking tbody tr:visible")).to_have_count(8)
    await expect(page.locator(".segments th")).to_contain_text(["Age: 25 to 39", "Age: 40 and over", "Age: under 25"])
    await expect(page.locator(".detail")).to_contain_text("Above rank 2 on 64 % of 2,000 panels drawn again.")
    await page.get_by_text("The panel, measured").click()
    await expect(page.locator(".ranked .pairs dd")).to_have_text(
        [
            "W 0.41, where dice stay under 0.07",
            "tau 0.30 on average",
            "-0.40 points (-0.60 to -0.20)",
            "tau 0.62",
            "67 %",
            "0.10 points (-0.20 to 0.40)",
            "rank 10 of 10",
        ]
    )
    await expect(page.locator(".detail")).to_contain_text("It divides the panel.")
    await page.get_by_text("Against each other script").click()
    await expect(page.locator(".detail .pairs dd")).to_have_text(["64 %"] * 7)
    await what_was_found_is_shown(page, (await api.get(f"/api/runs/{run_id}/files/result.json")).json())
    assert not await faults(page)


async def what_was_found_is_shown(page: Page, document: Any) -> None:
    first, second, *_ = document["library"]["entries"]
    await expect(page.locator(".found")).to_have_count(0)  # nothing is made before it is asked for
    await page.get_by_text("What the videos have in common").click()
    await expect(page.get_by_text("Association, never cause")).to_be_visible()
    patterns = page.locator(".found").first.locator("li")
    await expect(patterns).to_have_count(len(document["library"]["entries"]))
    await expect(patterns.first).to_contain_text(f"{first['support']} videos · no numbers · ")
    await expect(patterns.nth(1)).to_contain_text(f"engagement {second['lift']:.2f} × the median")
    await expect(patterns.first.locator(".spoken")).to_have_count(len(first["exemplars"]))
    await expect(patterns.first).to_contain_text(f"“{first['exemplars'][0]['hook']}”")
    await page.get_by_text("Each video, and the words that show it").click()
    videos = page.locator(".found").last.locator("li")
    await expect(videos).to_have_count(len(document["patterns"]))
    shown = next(n for n, video in enumerate(document["patterns"]) if video["loops"] and video["engagement_quote"])
    video = document["patterns"][shown]
    await expect(videos.nth(shown)).to_contain_text(f"A loop opens: “{video['loops'][0]['opens']['text']}” (")
    await expect(videos.nth(shown)).to_contain_text(
        f"{video['engagement_driver']} “{video['engagement_quote']['text']}” ("
    )


async def test_a_script_is_read_by_keyboard(api: httpx2.AsyncClient, opened: Open, run_id: str) -> None:
    page = await opened(f"{api.base_url}/#/runs/{run_id}/results")
    rows = (await api.get(f"/api/runs/{run_id}/ranking")).json()["rows"]
    results = (await api.get(f"/api/pipeline/results/{run_id}")).json()["results"]
    await page.get_by_role("button", name=rows[1]["hook"], exact=True).press("Enter")
    await expect(page.locator(".detail")).to_be_focused()
    await expect(page.locator(".mine .spoken")).to_have_text(results[1]["personalized_script"])
    await expect(page.locator(".version:not(.mine) .spoken")).to_contain_text(results[1]["original_script"]["hook"])
    await expect(page.locator("ins").first).to_be_visible()
    await expect(page.get_by_role("button", name=rows[1]["hook"], exact=True)).to_have_attribute("aria-pressed", "true")
    await page.get_by_role("button", name="Previous script").click()
    await expect(page.locator(".mine .spoken")).to_have_text(results[0]["personalized_script"])
    await page.get_by_role("button", name="Show all 8").click()
    await page.get_by_role("button", name=rows[7]["hook"], exact=True).click()
    await expect(page.locator(".detail")).to_contain_text("Below the cut · rank 8 of 8")
    await expect(page.get_by_role("link", name="Teleprompter")).to_have_count(0)
    ballots = (await api.get(f"/api/runs/{run_id}/files/ballots.jsonl")).text.splitlines()
    listed = sum(f'"{rows[7]["script_id"]}"' in line.partition('"order"')[0] for line in ballots)
    await expect(page.locator(".voters li")).to_have_count(len(ballots))
    await expect(page.get_by_text(f"Left it off their ballot {len(ballots) - listed}")).to_be_visible()


async def test_copying_takes_the_text_as_it_is(api: httpx2.AsyncClient, opened: Open, run_id: str) -> None:
    page = await opened(f"{api.base_url}/#/runs/{run_id}/results", permissions=["clipboard-read", "clipboard-write"])
    final = (await api.get(f"/api/pipeline/results/{run_id}")).json()["results"][0]
    script, prompt = page.locator(".detail section").first, page.locator(".prompt-box").first
    for box, text in ((script, final["personalized_script"]), (prompt, final["video_prompt"])):
        await box.get_by_role("button", name="Copy").click()
        await expect(box.get_by_role("status")).to_have_text("Copied.")
        assert await page.evaluate("navigator.clipboard.readText()") == text
    await page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
    await prompt.get_by_role("button", name="Copy").click()
    await expect(prompt.get_by_role("status")).to_contain_text("select the text")


async def test_a_video_is_made_and_played(api: httpx2.AsyncClient, opened: Open, run_id: str) -> None:
    page = await opened(f"{api.base_url}/#/runs/{run_id}/results")
    await page.get_by_role("button", name="Make a video").click()
    await expect(page.get_by_role("link", name="Download the video")).to_be_visible()
    await expect(page.locator("video")).not_to_have_js_property("videoWidth", 0)
    await page.reload()
    await expect(page.locator("video")).not_to_have_js_property("videoWidth", 0)  # ordered once, found again
    assert not await faults(page)


async def test_what_was_posted_is_reported_and_corrected(api: httpx2.AsyncClient, opened: Open, run_id: str) -> None:
    page = await opened(f"{api.base_url}/#/runs/{run_id}/results")
    await page.get_by_text("Report a post").click()
    await page.get_by_label("Link to the post").fill("javascript:window.hit=1")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("[data-field=views] .fault")).to_have_text("This is needed.")
    await expect(page.locator("[data-field=post_url] .fault")).to_contain_text("begins with http")
    await expect(page.get_by_label("Link to the post")).to_be_focused()
    await page.get_by_label("Link to the post").fill("https://example.org/1")
    numbers = {"Views": "1000", "Likes": "50", "Comments": "5", "Shares": "2", "Watched to the end, %": "40"}
    for label, number in numbers.items():
        await page.get_by_label(label).fill(number)
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved. From ten posts")).to_be_visible()
    await page.get_by_role("button", name="Correct").click()
    await page.get_by_label("Views").fill("2000")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator(".posts li")).to_contain_text(["2,000 views, 50 likes, 40 % to the end"])
    kept = (await api.get(f"/api/performance/{run_id}")).json()["performances"]
    assert [(post["views"], post["completion_rate"]) for post in kept] == [(2000, 0.4)]
    assert not await faults(page)


async def post_all(api: httpx2.AsyncClient, run_id: str) -> None:
    for row in (await api.get(f"/api/pipeline/results/{run_id}")).json()["results"]:
        for platform in ("tiktok", "instagram", "youtube"):
            post = {"run_id": run_id, "script_id": row["script_id"], "platform": platform}
            numbers = {"views": 1_000, "likes": 90 - row["rank"], "comments": 5, "shares": 2}
            sent = await api.post("/api/performance", json=post | numbers | {"post_url": "https://example.org/1"})
            assert sent.status_code == 200


async def test_insights_claim_nothing_of_few_posts(api: httpx2.AsyncClient, opened: Open, run_id: str) -> None:
    page = await opened(f"{api.base_url}/#/insights")
    await expect(page.get_by_text("Nothing is claimed under 10 posts")).to_be_visible()
    await expect(page.locator(".lifts, .gauge")).to_have_count(0)
    await post_all(api, run_id)
    await page.reload()
    found = (await api.get("/api/insights")).json()
    low, high = (f"{100 * end:.0f} %" for end in found["interval"])
    await expect(page.locator(".price")).to_have_text(f"100 % likely {low} to {high}")
    await expect(page.locator(".lifts").first.locator("li")).to_have_count(len(found["top_patterns"]))
    assert not await faults(page)


def poison(value: Any) -> Any:
    """Every text that a model or a stranger has written."""
    if isinstance(value, dict):
        kept = ("run_id", "script_id", "status", "completed_at")
        return {name: one if name in kept else poison(one) for name, one in value.items()}
    if isinstance(value, list):
        return [poison(one) for one in value]
    return HOSTILE + value if isinstance(value, str) else value


async def test_hostile_answers_are_shown_as_they_are(api: httpx2.AsyncClient, opened: Open, run_id: str) -> None:
    await post_all(api, run_id)
    page = await opened(f"{api.base_url}/#/runs/{run_id}/results")
    await change_result(page, lambda document: document.update(poison(document)))
    await expect(page.get_by_role("heading", level=2).last).to_contain_text(HOSTILE)
    await expect(page.locator(".mine .spoken")).to_contain_text(HOSTILE)
    for title in ("What the videos have in common", "Each video, and the words that show it"):
        await page.get_by_text(title).click()
        await expect(page.locator(".found").last.locator("li").first).to_contain_text(HOSTILE)

    async def poisoned(route: Route) -> None:
        await route.fulfill(json=poison(await (await route.fetch()).json()))

    await page.route("**/api/insights", poisoned)
    await page.goto(f"{api.base_url}/#/insights")
    await expect(page.locator(".page-insights .lifts").first).to_contain_text(HOSTILE)
    assert await page.evaluate("window.hit") is None
    assert not await page.locator("main img, main svg[onload]").count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [None, PHONE])
async def test_axe_finds_nothing_serious_and_a_phone_need_not_scroll_sideways(
    api: httpx2.AsyncClient, opened: Open, run_id: str, scheme: str, viewport: dict[str, int] | None
) -> None:
    await post_all(api, run_id)
    page = await opened(str(api.base_url), color_scheme=scheme, **({"viewport": viewport} if viewport else {}))
    for path, heading in (
        ("/", "Scripts in your voice"),
        (f"/runs/{run_id}/results", "Scripts to film"),
        ("/insights", "Insights"),
    ):
        await page.goto(f"{api.base_url}/#{path}")
        await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        if "results" in path:
            await change_result(page, with_evidence)
            await expect(page.locator(".segments")).to_be_visible()
        await page.evaluate(UNFOLD)
        if "results" in path:
            await expect(page.locator(".found").first).to_be_visible()
            await page.evaluate(UNFOLD)  # what that fold has in it
        assert not await faults(page), path
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


async def test_a_run_without_a_ranking_says_so(quiet_api: httpx2.AsyncClient, opened: Open, started: Started) -> None:
    run_id = await started(quiet_api)
    page = await opened(f"{quiet_api.base_url}/#/runs/{run_id}/results")
    await expect(page.get_by_role("heading", level=1)).to_have_text("No ranking yet")
    await page.get_by_role("link", name="Watch the run").click()
    await page.wait_for_url(f"**/#/runs/{run_id}")


async def test_an_empty_ranking_is_none_and_says_why(api: httpx2.AsyncClient, opened: Open, run_id: str) -> None:
    """A run whose cap stopped it before its first script has completed."""

    def emptied(document: Any) -> None:
        document["ranking"]["rows"] = []
        nothing: dict[str, Any] = {"results": [], "scripts": [], "notices": ["Nothing was written."]}
        document.update(nothing, partial=True, stopped_by="max_usd")

    page = await opened(f"{api.base_url}/#/runs/{run_id}/results")
    await change_result(page, emptied)
    await expect(page.get_by_role("heading", level=1)).to_have_text("No ranking")
    await expect(page.locator(".notices li")).to_contain_text(["Stopped early: max_usd.", "Nothing was written."])
    assert not await faults(page)


HOOKS = (
    "Nobody tells you this",
    "Don't. Stop! Wait?",
    "Ça va être un très long début de phrase, vraiment très long",
    "Ω",
    "x" * 60,
    "--- a ---",
    "Fünf ﬁnger, ½ Tasse",
    "one two three four five six seven eig-ht",
)


async def test_pages_know_what_the_files_are_called(api: httpx2.AsyncClient, opened: Open) -> None:
    page = await opened(str(api.base_url))
    script = CandidateScript("S01", "", "", "", "", 30.0, "")  # type: ignore[arg-type]
    for rank, hook in enumerate(HOOKS, start=5):
        final = FinalScript(script.script_id, script, hook, "", "", "", (), rank, 0.0)
        named = "async (one) => (await import('/web/-/js/parts/filming.js')).fileStem(one)"
        assert await page.evaluate(named, {"rank": rank, "hook": hook}) == stem(final)


async def test_an_edit_shows_with_what_the_panel_made_of_it(
    api: httpx2.AsyncClient, opened: Open, started: Started, store: RedisRunStore
) -> None:
    run_id = await started(api, **SIZES, refine=True)
    await come_to_rest(store, run_id, "pipeline_complete")
    page = await opened(f"{api.base_url}/#/runs/{run_id}/results")
    card = page.locator(".edits")
    await expect(card.get_by_role("heading", name="What would change your mind?")).to_be_visible()
    document = (await api.get(f"/api/runs/{run_id}/files/result.json")).json()
    trial = document["refinement"]["trials"][0]
    await expect(card).to_contain_text(trial["summary"])
    await expect(card.locator("del").first).to_have_text(trial["edit"]["passage"])
    await expect(card.locator("ins").first).to_have_text(trial["edit"]["instead"])
    assert not await faults(page)

    def hostile(document: Any) -> None:
        trial = document["refinement"]["trials"][0]
        trial["edit"] |= {"passage": HOSTILE, "instead": HOSTILE, "reason": HOSTILE, "persona_name": HOSTILE}
        document["refinement"]["untried"] = [row["script_id"] for row in document["ranking"]["rows"][4:5]]

    await change_result(page, hostile)
    await expect(card.locator("del").first).to_have_text(HOSTILE)
    assert await page.evaluate("window.hit") is None
    assert (await api.get(f"/api/pipeline/results/{run_id}")).json()["refinement"]["trials"][0] == trial
