"""The video that needs no key and no network: a script as timed kinetic text over its shot list.

    timing.py   when each word is seen
    faces.py    which font draws it
    stills.py   what stands still while a shot lasts
    frames.py   the pictures
    mp4.py      the file

It is what a creator rehearses with and shows an editor, not a film. Deterministic for one version, font files and
script; any text in, however odd, gives a video. Needs the extra ``[video]``: PyAV, Pillow and Inter, see
docs/adr/0013-animatics-by-pyav.md.
"""

from __future__ import annotations

import asyncio
import threading

from flair_ray.domain.scripts import FinalScript
from flair_ray.errors import BadRequest
from flair_ray.providers.animatic.faces import unreadable
from flair_ray.providers.animatic.frames import Frames
from flair_ray.providers.animatic.mp4 import Progress, encode

FPS = 30


class Animatic:
    """Draws in a thread of this process, about half a second of one core per second of video."""

    def __init__(self, width: int = 1080, progress: Progress | None = None, fps: int = FPS) -> None:
        self._width, self._fps = width, fps
        self._progress = progress or (lambda share: None)

    async def begin(self, script: FinalScript) -> str:
        """Costs nothing and starts nothing. Raises BadRequest for a writing that no font here can draw."""
        lost = unreadable(script.personalized_script)
        if lost:
            raise BadRequest(
                f"No font on this machine can draw {lost!r}: install one for this writing, for example Noto Sans, "
                "and order the video again."
            )
        return "drawn here"

    async def fetch(self, script: FinalScript, operation: str) -> bytes:
        stopped = threading.Event()

        def tell(share: float) -> None:
            if stopped.is_set():
                raise InterruptedError
            self._progress(share)

        try:
            return await asyncio.to_thread(self._draw, script, tell)
        finally:
            stopped.set()

    async def close(self) -> None: ...

    def _draw(self, script: FinalScript, tell: Progress) -> bytes:
        drawn = Frames(script, self._width, self._fps)
        return encode(drawn.frames(), drawn.size, self._fps, drawn.count, tell)
