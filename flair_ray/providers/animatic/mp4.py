"""Pictures to an MP4 that browsers and phones play: H.264, 4:2:0, the index before the pictures, no sound.

Encoded by libx264 inside PyAV (https://pyav.basswood.io), on one thread: jobs share the machine with runs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import av
from PIL import Image

OPTIONS = {"preset": "veryfast", "crf": "23"}
BT709, LIMITED = 1, 1
"""The colours of HD by FFmpeg's numbers, said in the file: a player that has to guess shows others."""
Progress = Callable[[float], None]


def encode(
    pictures: Iterable[Image.Image], size: tuple[int, int], fps: int, count: int, progress: Progress | None = None
) -> bytes:
    """The file. ``progress`` is told the share that is done, now and then."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "animatic.mp4"  # a file with a name: it is read again to move the index to the front
        with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=fps, options=OPTIONS)
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context
            context.thread_count = 1
            context.colorspace = context.color_primaries = context.color_trc = BT709
            context.color_range = LIMITED
            for number, picture in enumerate(pictures):
                frame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]
                container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="itu709")))
                if progress and number % fps == 0:
                    progress(number / count)
            container.mux(stream.encode())
        return path.read_bytes()
