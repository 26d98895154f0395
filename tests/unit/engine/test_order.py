"""From a wish to a run: checked, clamped, named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flair_ray.config import Settings
from flair_ray.data import sample_personas, sample_profiles, sample_videos
from flair_ray.domain.events import EventName
from flair_ray.domain.ids import RunId, VideoId
from flair_ray.domain.runs import Limits, ModelChoice
from flair_ray.domain.videos import Video
from flair_ray.engine.order import Order, answers_version, first_event, prepare
from flair_ray.errors import InputError


def fingerprint(order: Order, settings: Settings) -> str:
    return prepare(order, settings)[0].fingerprint


def test_a_wish_that_can_be_met_is_met_without_a_word(small_order: Order, settings: Settings) -> None:
    spec, inputs = prepare(small_order, settings)
    assert (spec.num_videos, spec.num_scripts, spec.num_personas, spec.top_n, spec.warnings) == (12, 6, 7, 3, ())
    assert inputs.videos == sample_videos()[:12]
    assert len(inputs.personas) == 7


@pytest.mark.parametrize("name", ["num_videos", "num_scripts", "num_personas", "top_n"])
@pytest.mark.parametrize("count", [0, -1])
def test_a_count_below_one_names_its_option(small_order: Order, settings: Settings, name: str, count: int) -> None:
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')} must be at least 1, not {count}"):
        prepare(replace(small_order, **{name: count}), settings)


@pytest.mark.parametrize("name", ["num_videos", "num_scripts", "num_personas"])
def test_a_count_above_the_bound_names_both(small_order: Order, settings: Settings, name: str) -> None:
    bounded = Settings(data_dir=settings.data_dir, max_videos=50, max_scripts=50, max_personas=50)
    prepare(replace(small_order, **{name: 50}), bounded)
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')} 51 is above the limit of 50"):
        prepare(replace(small_order, **{name: 51}), bounded)


def test_a_bound_is_for_what_would_be_done_and_not_for_what_was_hoped_for(
    small_order: Order, settings: Settings
) -> None:
    spec, _ = prepare(replace(small_order, num_videos=10**9, top_n=10**9), settings)
    assert (spec.num_videos, spec.top_n) == (120, 6)


def test_no_calls_at_once_is_no_run(small_order: Order, settings: Settings) -> None:
    with pytest.raises(InputError, match="--max-in-flight must be at least 1, not 0"):
        prepare(replace(small_order, limits=Limits(0)), settings)


@pytest.mark.parametrize("missing", ["videos", "personas"])
def test_a_run_of_nothing_is_refused(small_order: Order, settings: Settings, missing: str) -> None:
    with pytest.raises(InputError, match="at least one video and one persona"):
        prepare(replace(small_order, **{missing: ()}), settings)


def test_less_than_was_asked_for_is_said(small_order: Order, settings: Settings) -> None:
    order = replace(small_order, videos=sample_videos()[:5], personas=sample_personas()[:4], num_scripts=2)
    spec, _ = prepare(order, settings)
    assert (spec.num_videos, spec.num_personas, spec.top_n) == (5, 4, 2)
    assert spec.warnings == (
        "12 videos were asked for, 5 are there: using 5.",
        "7 personas were asked for, 4 are there: using 4.",
        "3 results were asked for from 2 scripts: giving 2.",
    )


def test_one_id_is_one_item(small_order: Order, settings: Settings) -> None:
    """Results are recorded by id: the second of two would be paid for and lost."""
    twice = (*sample_videos()[:3], Video(sample_videos()[0].video_id, "another text"))
    order = replace(small_order, videos=twice, personas=sample_personas() * 2, num_videos=3)
    spec, inputs = prepare(order, settings)
    assert inputs.videos == sample_videos()[:3]
    assert len({p.persona_id for p in inputs.personas}) == len(inputs.personas) == 7
    assert spec.warnings == (
        "1 of the videos had the id of an earlier one: left out.",
        "100 of the personas had the id of an earlier one: left out.",
    )


def test_equal_material_is_stored_once(small_order: Order, settings: Settings) -> None:
    one, other = prepare(small_order, settings)[0], prepare(replace(small_order, seed=7, top_n=1), settings)[0]
    assert one.inputs_key == other.inputs_key
    changed = (*small_order.videos[:3], Video(VideoId("new"), "a new text"), *small_order.videos[3:])
    assert prepare(replace(small_order, videos=changed), settings)[0].inputs_key != one.inputs_key


def test_a_fingerprint_names_all_that_decides_an_answer(small_order: Order, settings: Settings) -> None:
    others = [
        replace(small_order, seed=8),
        replace(small_order, num_scripts=5),
        replace(small_order, num_videos=11),
        replace(small_order, model=ModelChoice("openai", "gpt-5-mini")),
        replace(small_order, model=replace(small_order.model, base_url="http://elsewhere")),
        replace(small_order, profile=sample_profiles()[1].profile),
    ]
    prints = [fingerprint(order, settings) for order in (small_order, *others)]
    assert len(set(prints)) == len(prints)
    assert all(p.startswith(answers_version()) for p in prints)


def test_and_nothing_that_does_not(small_order: Order, settings: Settings) -> None:
    print_ = fingerprint(small_order, settings)
    assert fingerprint(replace(small_order, session_id="me", limits=Limits(3)), settings) == print_
    assert fingerprint(small_order, Settings(data_dir=settings.data_dir, max_attempts=2)) == print_


def test_the_first_event_says_what_is_to_come(small_order: Order, settings: Settings) -> None:
    spec, _ = prepare(replace(small_order, top_n=9), settings)
    event = first_event(RunId("r"), spec)
    assert event.name is EventName.PIPELINE_STARTED
    assert {"run_id", "total_videos", "total_personas", "top_n"} <= set(event.data)
    assert event.data["warnings"] == list(spec.warnings)
