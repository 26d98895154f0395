"""The sample videos: enough of them, all different, spread over niches and mechanics, numbers as in life."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from importlib.resources import files
from itertools import combinations, pairwise
from typing import Any

from flair_ray.data import sample_videos
from flair_ray.domain.patterns import EmotionalArc, HookType, Pacing

Records = list[dict[str, Any]]


def test_there_are_120_with_their_own_ids_and_words() -> None:
    videos = sample_videos()
    assert len(videos) == 120
    assert len({v.video_id for v in videos}) == 120
    assert len({v.transcript for v in videos}) == 120
    assert len({v.description for v in videos}) == 120


def test_every_record_says_that_it_is_synthetic(video_records: Records) -> None:
    assert all(r["synthetic"] is True for r in video_records)


def test_no_account_name_can_be_a_real_one(video_records: Records) -> None:
    assert all(re.fullmatch(r"@[a-z]+(-[a-z0-9]+)+", r["author"]) for r in video_records)


def test_transcripts_are_25_to_170_words_and_of_many_lengths() -> None:
    lengths = [len(v.transcript.split()) for v in sample_videos()]
    assert min(lengths) >= 25
    assert max(lengths) <= 170
    assert statistics.stdev(lengths) > 20


def shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[\w']+", text.lower())
    return set(zip(words, words[1:], words[2:], strict=False))


def test_no_two_transcripts_are_near_duplicates() -> None:
    sets = [shingles(v.transcript) for v in sample_videos()]
    worst = max(len(a & b) / len(a | b) for a, b in combinations(sets, 2))
    assert worst < 0.05


def test_no_phrase_betrays_a_template() -> None:
    """A run of five words that three transcripts share would be a seam."""
    runs: Counter[tuple[str, ...]] = Counter()
    for video in sample_videos():
        words = re.findall(r"[\w']+", video.transcript.lower())
        runs.update({tuple(words[i : i + 5]) for i in range(len(words) - 4)})
    assert runs.most_common(1)[0][1] <= 2


def test_many_niches_and_never_two_of_one_in_a_row(video_records: Records) -> None:
    niches = [r["niche"] for r in video_records]
    assert len(set(niches)) >= 30
    assert max(Counter(niches).values()) <= 6
    assert all(a != b for a, b in pairwise(niches))


def test_the_first_dozen_already_shows_every_hook_and_many_niches(video_records: Records) -> None:
    first = video_records[:12]
    assert {r["written_as"]["hook_type"] for r in first} == {h.value for h in HookType}
    assert len({r["niche"] for r in first}) == 12


def test_every_mechanic_is_written_at_least_fifteen_times(video_records: Records) -> None:
    for field, kind in (("hook_type", HookType), ("pacing", Pacing), ("emotional_arc", EmotionalArc)):
        counts = Counter(r["written_as"][field] for r in video_records)
        assert set(counts) == {member.value for member in kind}
        assert min(counts.values()) >= 15


def test_durations_fit_the_words() -> None:
    paces = [v.words_per_second for v in sample_videos() if v.duration_s is not None]
    assert all(1.8 <= pace <= 3.6 for pace in paces if pace is not None)
    assert len(set(paces)) > 50


def test_engagement_spreads_over_orders_of_magnitude_and_adds_up() -> None:
    numbers = [v.engagement for v in sample_videos()]
    views = [n.views for n in numbers if n.views is not None]
    rates = [rate for n in numbers if (rate := n.rate()) is not None]
    assert max(views) > 100 * min(views)
    assert statistics.mean(views) > 1.5 * statistics.median(views), "as skewed as views are"
    assert 0.02 < min(rates) < 0.6 * statistics.median(rates)
    assert 2 * statistics.median(rates) < max(rates) < 0.5
    assert all(n.likes < n.views for n in numbers if n.likes is not None and n.views is not None)


def test_some_numbers_are_missing_and_stay_none() -> None:
    videos = sample_videos()
    assert 1 <= sum(v.duration_s is None for v in videos) <= 8
    for field in ("views", "saves", "followers"):
        assert 1 <= sum(getattr(v.engagement, field) is None for v in videos) <= 15


def test_each_video_says_where_it_was_read() -> None:
    assert sample_videos()[4].source == "sample videos.jsonl, line 5"


def test_all_the_data_together_is_under_300_kb() -> None:
    sizes = [len(f.read_bytes()) for f in files("flair_ray.data").iterdir() if f.name.endswith((".json", ".jsonl"))]
    assert len(sizes) == 3
    assert sum(sizes) < 300_000
