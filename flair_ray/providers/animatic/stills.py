"""What stands still while one shot lasts: the ground in the beat's colours, the shot list's card, the label.

Everything lies where TikTok leaves a picture free: its tabs cover the top, its caption the bottom fifth, its buttons
the right edge. Measures are of a picture 1080 wide and are scaled to the one that is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFilter

from flair_ray.domain.scripts import Shot
from flair_ray.providers.animatic.faces import drawable, face, face_for, wrapped

WIDTH, HEIGHT = 1080, 1920
LEFT, RIGHT, TOP, BOTTOM = 64, 936, 168, 1484
"""The free part of the picture."""
WORDS = (LEFT, 470, RIGHT, 1080)
"""Where the spoken words go."""
CARD_TOP = 1120
WHITE, DIM, INK = (255, 255, 255), (255, 255, 255, 190), (14, 14, 20)
Color = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Palette:
    """A beat's colours."""

    top: Color
    bottom: Color
    glow: Color
    accent: Color


PALETTES = {
    "hook": Palette((112, 14, 84), (24, 8, 46), (255, 64, 110), (255, 226, 64)),
    "body": Palette((18, 44, 130), (8, 12, 40), (52, 130, 255), (84, 240, 224)),
    "payoff": Palette((6, 104, 92), (4, 24, 40), (32, 214, 150), (198, 255, 92)),
}
_PLACES = ((0.86, 0.16), (0.1, 0.36), (0.92, 0.66), (0.14, 0.84), (0.5, 0.06), (0.6, 0.95))
"""Where the two glows lie, shot after shot, so that a cut is seen as one."""


class Still:
    """Draws the still part for one size of picture."""

    def __init__(self, width: int) -> None:
        self._scale = width / WIDTH
        self.size = (width, even(HEIGHT * self._scale))

    def px(self, measure: float) -> int:
        """A measure in this picture's pixels."""
        return round(measure * self._scale)

    def draw(self, beat: str, shot: tuple[int, Shot] | None) -> Image.Image:
        """``shot`` with its number, from 1."""
        palette, number = PALETTES[beat], shot[0] if shot else 0
        picture = self._ground(palette, number)
        pen = ImageDraw.Draw(picture, "RGBA")
        self._chip(pen, beat, palette)
        if shot:
            self._label(pen, shot[1])
            self._card(pen, *shot, palette)
        return picture

    def _ground(self, palette: Palette, number: int) -> Image.Image:
        """A gradient with two soft lights, drawn small: it has no edge that could show it."""
        small = Image.new("RGB", (1, 256))
        small.putdata([_between(palette.top, palette.bottom, y / 255) for y in range(256)])
        ground = small.resize((54, 96), Image.Resampling.BILINEAR)
        light = Image.new("L", ground.size)
        pen = ImageDraw.Draw(light)
        for place, radius, strength in ((number, 22, 150), (number + 3, 15, 90)):
            x, y = (p * side for p, side in zip(_PLACES[place % len(_PLACES)], ground.size, strict=True))
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=strength)
        light = light.filter(ImageFilter.GaussianBlur(12))
        ground.paste(Image.new("RGB", ground.size, palette.glow), mask=light)
        return ground.resize(self.size, Image.Resampling.BICUBIC)

    def _chip(self, pen: ImageDraw.ImageDraw, beat: str, palette: Palette) -> None:
        px, at = self.px, face(self.px(34), 800)
        right = px(LEFT + 56) + at.getlength(beat.upper())
        pen.rounded_rectangle((px(LEFT), px(208), right, px(268)), px(30), fill=palette.accent)
        pen.text((px(LEFT + 28), px(238)), beat.upper(), INK, at, anchor="lm")

    def _label(self, pen: ImageDraw.ImageDraw, shot: Shot) -> None:
        """The shot's text on the screen, as the stickers are that people put there."""
        if not (text := drawable(shot.on_screen_text)):
            return
        px, at = self.px, face_for(text, self.px(46), 700)
        lines = wrapped(text, at, px(RIGHT - LEFT - 60), 2)
        step, pad, top = px(66), px(24), px(316)
        wides = [at.getlength(line) + 2 * pad for line in lines]
        for number, wide in enumerate(wides):
            box = (px(LEFT), top + number * step, px(LEFT) + wide, top + (number + 1) * step)
            pen.rounded_rectangle(box, px(16), fill=WHITE)
        for number, (one, other) in enumerate(pairwise(wides), start=1):  # two boxes, one sticker
            y = top + number * step
            pen.rectangle((px(LEFT), y - px(16), px(LEFT) + min(one, other), y + px(16)), fill=WHITE)
        for number, line in enumerate(lines):
            pen.text((px(LEFT) + pad, top + number * step + step // 2), line, INK, at, anchor="lm")

    def _card(self, pen: ImageDraw.ImageDraw, number: int, shot: Shot, palette: Palette) -> None:
        px, small = self.px, face(self.px(30), 700)
        text = drawable(shot.visual)
        at = face_for(text, px(40), 500)
        lines = wrapped(text, at, px(RIGHT - LEFT - 80), 4) if text else []
        bottom = CARD_TOP + 104 + 54 * max(len(lines), 1)
        pen.rounded_rectangle((px(LEFT), px(CARD_TOP), px(RIGHT), px(bottom)), px(28), fill=(8, 8, 16, 150))
        pen.rounded_rectangle((px(LEFT), px(CARD_TOP), px(LEFT + 12), px(bottom)), px(6), fill=palette.accent)
        pen.text((px(LEFT + 44), px(CARD_TOP + 48)), f"SHOT {number}", palette.accent, small, anchor="lm")
        when = f"{shot.start_s:.0f}–{shot.end_s:.0f} s"
        pen.text((px(RIGHT - 36), px(CARD_TOP + 48)), when, DIM, small, anchor="rm")
        for row, line in enumerate(lines):
            pen.text((px(LEFT + 44), px(CARD_TOP + 108 + 54 * row)), line, WHITE, at, anchor="lm")


def even(measure: float) -> int:
    """To the next even number: 4:2:0 has half a colour per pixel in each direction."""
    return 2 * max(1, round(measure / 2))


def _between(one: Color, other: Color, share: float) -> Color:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
