"""The frames of an animatic, drawn where something has changed.

A shot's still is drawn once, a page's words once each; a frame is the still with the sprites of the words that are
there by now, the newest in the beat's accent and popping in, under a bar that tells how far it is.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw

from flair_ray.domain.scripts import FinalScript, Shot
from flair_ray.providers.animatic.faces import Face, drawable, face, face_for
from flair_ray.providers.animatic.stills import LEFT, PALETTES, RIGHT, TOP, WHITE, WORDS, Color, Still
from flair_ray.providers.animatic.timing import Beat, Page, beats

POP = (0.55, 0.86, 1.07, 1.03)
"""A word's size in its first frames, as a share of what it then has."""
SLIDE = (0.62, 0.3, 0.1)
"""How far a new shot's still has yet to come up, in its first frames."""
BIGGEST, SMALLEST = 164, 44
LINE = 1.16
"""From one baseline to the next, in sizes."""


@dataclass(frozen=True, slots=True)
class Sprite:
    """One word where it will stand; x and y of its middle."""

    text: str
    face: Face
    x: float
    y: float


class Frames:
    """Draws a script frame by frame, ``width`` pixels wide and 9:16."""

    def __init__(self, script: FinalScript, width: int, fps: int) -> None:
        self._still = Still(width)
        self._fps = fps
        self._shots = script.shots
        self._beats = beats(script)
        self.size = self._still.size
        self.count = max(1, round(self._beats[-1].end_s * fps))
        self._shown = lru_cache(maxsize=3)(self._draw_still)
        self._placed = lru_cache(maxsize=2)(self._place)

    def frames(self) -> Iterator[Image.Image]:
        """``count`` pictures."""
        for number in range(self.count):
            yield self.frame(number)

    def frame(self, number: int) -> Image.Image:
        """One picture, from 0 on."""
        at_s = number / self._fps
        beat = next((b for b in self._beats if at_s < b.end_s), self._beats[-1])
        page = next((p for p in beat.pages if at_s < p.end_s), beat.pages[-1])
        picture = self._ground(number, beat, at_s)
        self._write(picture, beat, page, at_s)
        self._tell_time(picture, at_s)
        return picture

    def _ground(self, number: int, beat: Beat, at_s: float) -> Image.Image:
        """The still of this moment; a new one slides up over the last."""
        now = self._shown(beat.name, self._shot_at(at_s))
        for age, share in enumerate(SLIDE):
            before_s = (number - age - 1) / self._fps
            before = next((b for b in self._beats if before_s < b.end_s), self._beats[-1])
            if before_s >= 0 and (last := self._shown(before.name, self._shot_at(before_s))) is not now:
                picture = last.copy()
                picture.paste(now, (0, round(share * self.size[1])))
                return picture
        return now.copy()

    def _shot_at(self, at_s: float) -> tuple[int, Shot] | None:
        begun = [(number, shot) for number, shot in enumerate(self._shots, start=1) if shot.start_s <= at_s]
        return begun[-1] if begun else None

    def _draw_still(self, beat: str, shot: tuple[int, Shot] | None) -> Image.Image:
        return self._still.draw(beat, shot)

    def _write(self, picture: Image.Image, beat: Beat, page: Page, at_s: float) -> None:
        sprites = self._placed(page)
        there = [(s, w) for s, w in zip(sprites, page.words, strict=True) if w.start_s <= at_s]
        for number, (sprite, word) in enumerate(there, start=1):
            age = round((at_s - word.start_s) * self._fps)
            scale = POP[age] if age < len(POP) else 1.0
            newest = number == len(there)
            self._paste(picture, sprite, PALETTES[beat.name].accent if newest else WHITE, scale)

    def _paste(self, picture: Image.Image, sprite: Sprite, color: Color, scale: float) -> None:
        mask = _mask(sprite.text, sprite.face)
        if scale != 1.0:
            mask = mask.resize((max(1, round(mask.width * scale)), max(1, round(mask.height * scale))))
        x, y = round(sprite.x - mask.width / 2), round(sprite.y - mask.height / 2)
        shadow = self._still.px(5)
        picture.paste((0, 0, 0), (x + shadow, y + shadow), mask.point(_HALF))
        picture.paste(color, (x, y), mask)

    def _place(self, page: Page) -> list[Sprite]:
        """Every word of a page at the largest size at which all of them fit, each line in the middle."""
        left, top, right, bottom = (self._still.px(edge) for edge in WORDS)
        texts = [drawable(word.text) for word in page.words]
        for measure in range(BIGGEST, SMALLEST - 1, -4):
            size = max(4, self._still.px(measure))
            faces = [face_for(text, size, 850) for text in texts]
            lines = _lines(texts, faces, right - left)
            widest = max(_width(line, texts, faces) for line in lines)
            if (widest <= right - left and len(lines) * size * LINE <= bottom - top) or measure - 4 < SMALLEST:
                break
        y = (top + bottom - len(lines) * size * LINE) / 2 + size * LINE / 2
        placed: dict[int, Sprite] = {}
        for line in lines:
            from_right = _reads_from_right(texts[line[0]])
            x = right - _width(line, texts, faces) if from_right else float(left)
            for index in reversed(line) if from_right else line:
                wide = faces[index].getlength(texts[index])
                placed[index] = Sprite(texts[index], faces[index], x + wide / 2, y)
                x += wide + _space(faces[index])
            y += size * LINE
        return [placed[index] for index in range(len(texts))]

    def _tell_time(self, picture: Image.Image, at_s: float) -> None:
        """A bar in as many parts as there are beats, and the seconds."""
        px, pen = self._still.px, ImageDraw.Draw(picture, "RGBA")
        total_s = self._beats[-1].end_s
        wide = px(RIGHT) - px(LEFT)
        for beat in self._beats:
            x0, x1 = (px(LEFT) + wide * s / total_s for s in (beat.start_s, beat.end_s))
            box = (x0, px(TOP), max(x0 + 1, x1 - px(8)), px(TOP + 12))
            pen.rounded_rectangle(box, px(6), fill=(255, 255, 255, 70))
            if at_s > beat.start_s:
                done = min(1.0, (at_s - beat.start_s) / (beat.end_s - beat.start_s))
                end = max(box[0] + px(12), box[0] + (box[2] - box[0]) * done)
                pen.rounded_rectangle((box[0], box[1], end, box[3]), px(6), fill=WHITE)
        clock = f"{_clock(at_s)} / {_clock(total_s)}"
        pen.text((px(RIGHT), px(238)), clock, (255, 255, 255, 210), face(px(34), 600), anchor="rm")


_HALF = [level * 2 // 5 for level in range(256)]


@lru_cache(maxsize=64)
def _mask(text: str, at: Face) -> Image.Image:
    """A word's shape, in a box as wide as its advance and tall enough for accents."""
    ascent, descent = at.getmetrics()
    mask = Image.new("L", (max(1, round(at.getlength(text)) + 8), ascent + descent))
    ImageDraw.Draw(mask).text((4, 0), text, 255, at)
    return mask


def _lines(texts: Sequence[str], faces: Sequence[Face], width: float) -> list[list[int]]:
    """Which words share a line."""
    lines: list[list[int]] = [[]]
    for index in range(len(texts)):
        if lines[-1] and _width([*lines[-1], index], texts, faces) > width:
            lines.append([])
        lines[-1].append(index)
    return lines


def _width(line: Sequence[int], texts: Sequence[str], faces: Sequence[Face]) -> float:
    return sum(faces[i].getlength(texts[i]) for i in line) + sum(_space(faces[i]) for i in line[:-1])


def _space(at: Face) -> float:
    return at.size * 0.24


def _reads_from_right(text: str) -> bool:
    return any(unicodedata.bidirectional(c) in ("R", "AL") for c in text)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
