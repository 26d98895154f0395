"""Mentions, by words and not by meaning."""

from __future__ import annotations

import pytest

from flair_ray.domain.topics import topic_pattern

TOPICS = ("diets", "weight loss", "self-harm", "减肥", " Politics. ")


@pytest.mark.parametrize(
    "text", ["No DIETS here", "a diet", "fast weight loss!", "self-harm", "我不想减肥了", "politics?"]
)
def test_a_mention_is_found(text: str) -> None:
    assert topic_pattern(TOPICS).search(text)


@pytest.mark.parametrize("text", ["dietary fibre", "losing weight", "a polite tic", "harm", ""])
def test_other_words_are_none(text: str) -> None:
    assert not topic_pattern(TOPICS).search(text)


def test_no_topic_is_mentioned_nowhere() -> None:
    assert not topic_pattern((" ", "")).search("anything")
