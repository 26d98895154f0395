"""What counts as nearly the same, and that looking for it stays cheap."""

from __future__ import annotations

import random
from time import process_time

import pytest

from flair_ray.domain.copies import near_copies
from flair_ray.domain.ids import ItemId, VideoId

SAID = (
    "I took up piano at sixty-six, in a flat with thin walls, so I play with the lid closed and apologise in the lift. "
    "I never got past the second page without a stumble in the same place. And through the wall somebody hummed it."
)
OTHER = (
    "Salt the water before the pasta goes in. Not a pinch: a handful. It should taste like the sea on a cold morning."
)
CHINESE = "我六十六岁开始学钢琴，住在墙很薄的公寓里，所以我盖着琴盖弹，在电梯里向邻居道歉，每次都在同一个地方弹错。"


def reworded(text: str, every: int) -> str:
    words = text.split()
    return " ".join("something" if i % every == 0 else word for i, word in enumerate(words))


def found(scripts: dict[str, str], *said: str) -> dict[ItemId, str]:
    videos = [(VideoId(f"v{n}"), text) for n, text in enumerate(said)]
    return near_copies({ItemId(name): text for name, text in scripts.items()}, videos)


@pytest.mark.parametrize(
    "text", [SAID, SAID.upper().replace(",", " –"), reworded(SAID, 10), f"Hi! {SAID} Bye!", CHINESE]
)
def test_a_script_of_somebodys_words_is_found_in_a_longer_transcript(text: str) -> None:
    said = f"{OTHER} {SAID} {CHINESE} {OTHER}"
    assert "is said in video v1" in found({"S01": text}, OTHER[:60], said)[ItemId("S01")]


def test_of_scripts_that_are_alike_the_first_one_stands() -> None:
    scripts = {"S01": SAID, "S02": OTHER, "S03": reworded(SAID, 9), "S04": reworded(SAID, 12)}
    assert found(scripts) == {"S03": "Nearly the same as S01.", "S04": "Nearly the same as S01."}


def test_a_copy_of_a_video_is_nobodys_first() -> None:
    assert list(found({"S01": SAID, "S02": SAID}, SAID)) == ["S01", "S02"]


def test_sharing_a_phrase_or_a_plan_is_no_copy() -> None:
    shared = "So I play with the lid closed and I apologise in the lift. "
    assert found({"S01": shared + OTHER * 2, "S02": SAID, "S03": reworded(SAID, 2)}, shared) == {}


def test_texts_too_short_to_tell_are_left_alone() -> None:
    assert found({"S01": "No.", "S02": "No.", "S03": ""}, "No.", "") == {}


def test_twenty_scripts_against_a_hundred_videos_take_milliseconds() -> None:
    """So that a call costs no more than it did: 20 of 172 calls share this."""
    rng = random.Random(7)  # noqa: S311  # made-up words
    vocabulary = ["".join(rng.choices("abcdefghij", k=5)) for _ in range(2000)]
    texts = [" ".join(rng.choices(vocabulary, k=90)) for _ in range(120)]
    took = []
    for _ in range(3):
        begun = process_time()
        assert found({f"S{n}": text for n, text in enumerate(texts[:20])}, *texts[20:]) == {}
        took.append(process_time() - begun)
    assert min(took) < 0.1
