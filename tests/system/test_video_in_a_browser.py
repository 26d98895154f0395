"""An animatic at its full size, played by a real browser."""

from __future__ import annotations

import asyncio
from pathlib import Path

import av
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from experiments.chromium import FLAGS, chromium
from flair_ray.domain.ids import ScriptId
from flair_ray.domain.scripts import CandidateScript, FinalScript, Shot
from flair_ray.providers.animatic import FPS, Animatic

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

SECONDS = 30
PAGE = """<video muted src="film.mp4"></video><script>
const v = document.querySelector("video")
const tell = (what, more) => fetch(`/told?what=${what}&` + new URLSearchParams(more))
v.onerror = () => tell("error", {said: v.error.message})
v.onloadedmetadata = () => { v.currentTime = v.duration - 2 }
v.onseeked = () => { v.onseeked = null; v.play() }
v.onended = () => tell("ended", {seconds: v.duration, width: v.videoWidth, height: v.videoHeight, at: v.currentTime})
</script>"""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    hook, body = (
        "Stop throwing this away.",
        "I did it for years. One pan, one lid, and what is left of the onions. " * 3,
    )
    payoff = "Soup, for free. Save this."
    original = CandidateScript(ScriptId("S01"), "p", hook, body, payoff, float(SECONDS), "")
    shots = tuple(
        Shot(at, at + 5, f"A hand in the pan, seen from above, number {at}", "Keep it") for at in range(0, 30, 5)
    )
    script = FinalScript(original.script_id, original, hook, body, payoff, "", shots, 1, 9.0)
    content = asyncio.run(Animatic().fetch(script, ""))
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    path.write_bytes(content)
    return path


def test_it_is_whole(film: Path) -> None:
    with av.open(str(film)) as container:
        [stream] = container.streams.video
        assert (stream.width, stream.height, stream.codec_context.pix_fmt) == (1080, 1920, "yuv420p")
        assert sum(1 for _ in container.decode(stream)) == SECONDS * FPS
    assert film.stat().st_size < 5_000_000


async def test_a_browser_seeks_in_it_and_plays_it_to_its_end(film: Path, tmp_path: Path) -> None:
    told: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def tell(request: web.Request) -> web.Response:
        told.put_nowait(dict(request.query))
        return web.Response()

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def file(request: web.Request) -> web.FileResponse:
        return web.FileResponse(film)

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/film.mp4", file), web.get("/told", tell)])
    server = TestServer(app)
    await server.start_server()
    options = ["--headless", "--mute-audio", "--remote-debugging-port=0", *FLAGS]
    options += [f"--user-data-dir={tmp_path}", "--autoplay-policy=no-user-gesture-required", str(server.make_url("/"))]
    quiet = asyncio.subprocess.DEVNULL
    browser = await asyncio.create_subprocess_exec(chromium(), *options, stdout=quiet, stderr=quiet)
    try:
        said = await asyncio.wait_for(told.get(), 120)
    finally:
        browser.kill()
        await browser.wait()
        await server.close()
    assert said["what"] == "ended", said
    assert float(said["seconds"]) == pytest.approx(SECONDS, rel=0.05)
    assert (said["width"], said["height"]) == ("1080", "1920")
