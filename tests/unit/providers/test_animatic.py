"""A script becomes an MP4 that can be read again, whatever it says."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace

import av
import pytest
from PIL import ImageChops

from flair_ray.domain.ids import ScriptId
from flair_ray.domain.scripts import CandidateScript, FinalScript, Shot
from flair_ray.errors import BadRequest
from flair_ray.providers.animatic import FPS, Animatic, faces
from flair_ray.providers.animatic.faces import drawable, face, unreadable, wrapped
from flair_ray.providers.animatic.frames import Frames
from flair_ray.providers.animatic.stills import BOTTOM, LEFT, RIGHT, TOP
from flair_ray.providers.animatic.timing import beats

TINY = 90
HOSTILE = "%{pts}:x='\\n';[0:v]drawtext=/etc/passwd 😀🔥\u202e\x00\u200d " + "y" * 300


@pytest.fixture
def script() -> FinalScript:
    original = CandidateScript(ScriptId("S01"), "p", "Stop.", "Look here.", "That is all.", 5.0, "")
    shots = (Shot(0, 3, "A pan, close", "Stop"), Shot(3, 5, "A face, laughing at what is in the pan", ""))
    return FinalScript(original.script_id, original, "Stop.", "Look here.", "That is all.", "", shots, 1, 9.0)


async def test_the_file_is_what_browsers_play(script: FinalScript) -> None:
    shares: list[float] = []
    animatic = Animatic(TINY, shares.append)
    content = await animatic.fetch(script, await animatic.begin(script))
    await animatic.close()
    assert content.index(b"moov") < content.index(b"mdat"), "the index comes first"
    with av.open(io.BytesIO(content)) as container:
        [stream] = container.streams
        assert isinstance(stream, av.VideoStream)
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (90, 160)
        frames = list(container.decode(stream))
        assert len(frames) == 5 * FPS
        assert container.duration == pytest.approx(5 * av.time_base, rel=0.05)
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] < 1


def test_words_come_one_by_one_and_each_beat_has_its_ground(script: FinalScript) -> None:
    drawn = Frames(script, TINY, FPS)
    pictures = [picture.copy() for picture in drawn.frames()]
    assert len(pictures) == drawn.count == 150
    assert ImageChops.difference(pictures[0], pictures[10]).getbbox() is not None, "a word pops in"
    corner = (TINY - 1, 150)
    middles = [(beat.start_s + beat.end_s) / 2 for beat in beats(script)]
    assert len({pictures[round(at_s * FPS)].getpixel(corner) for at_s in middles}) == 3


def test_nothing_lies_where_tiktok_has_its_own(script: FinalScript) -> None:
    """Against a script without a word, what is drawn differs in the free part only."""
    width = 540
    full = replace(script, hook="Wide wider widest words. " * 3, shots=(Shot(0, 9, "long " * 80, "long " * 40),))
    bare = Frames(replace(full, shots=(Shot(0, 9, "", ""),)), width, FPS)
    for at in (0, 40, 80):
        picture, empty = (
            next(p.copy() for n, p in enumerate(f.frames()) if n == at) for f in (Frames(full, width, FPS), bare)
        )
        box = ImageChops.difference(picture, empty).getbbox()
        assert box is not None
        left, top, right, bottom = box
        assert left >= LEFT / 2 - 8
        assert top >= TOP / 2
        assert right <= RIGHT / 2 + 8
        assert bottom <= BOTTOM / 2


@pytest.mark.parametrize("text", [HOSTILE, "", " \n ", "😀", "مرحبا بكم في المطبخ", "Привет, мир", "a" * 1200])
def test_any_text_is_drawn_or_left_out(script: FinalScript, text: str) -> None:
    shots = (Shot(0, 1, text, text), Shot(9, 2, text, text), Shot(float("nan"), float("inf"), text, text))
    odd = replace(script, hook=text, body=text, payoff=text, shots=shots)
    drawn = Frames(odd, TINY, 2)
    sizes = {picture.size for picture in drawn.frames()}
    assert sizes == {(90, 160)}


async def test_a_writing_that_no_font_has_is_refused_before_it_is_drawn(
    script: FinalScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flair_ray.providers.animatic.faces._others", lambda: ())
    faces._other.cache_clear()
    drawable.cache_clear()
    with pytest.raises(BadRequest, match="install"):
        await Animatic(TINY).begin(replace(script, body="今天我们来做饭"))
    assert unreadable("Crème brûlée, €5 → ½") == ""


def test_what_cannot_be_seen_is_not_drawn() -> None:
    assert drawable("a\x00b\u200d c\n d\u202e") == "a b c d"
    assert drawable("𝓛𝓸𝓿𝓮") == "Love"


def test_lines_keep_to_their_width() -> None:
    at = face(40)
    lines = wrapped("one two three " + "w" * 90 + " four", at, 300, 3)
    assert len(lines) == 3
    assert all(at.getlength(line) <= 300 for line in lines)
    assert lines[-1].endswith("…")


async def test_a_drawing_that_is_given_up_stops(script: FinalScript) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    shares: list[float] = []

    def tell(share: float) -> None:
        shares.append(share)
        loop.call_soon_threadsafe(told.set)

    long = replace(script, original_script=replace(script.original_script, estimated_duration=180.0))
    drawing = asyncio.create_task(Animatic(TINY, tell).fetch(long, "drawn here"))
    await told.wait()
    drawing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    seen = len(shares)
    await asyncio.get_running_loop().run_in_executor(None, lambda: None)
    assert len(shares) <= seen + 1
