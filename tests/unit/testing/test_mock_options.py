from __future__ import annotations

import json

import pytest

from flair_ray.errors import InputError
from flair_ray.testing.mock_options import MockOptions, Tail


def test_the_defaults_are_a_server_of_one_second_without_limits() -> None:
    options = MockOptions()
    assert (options.latency_s, options.jitter, options.max_in_flight, options.rpm) == (1.0, 0.0, None, None)
    assert options.host == "127.0.0.1"


@pytest.mark.parametrize(
    "given",
    [
        {"latency_s": -1},
        {"latency_s": float("nan")},
        {"latency_s": None},
        {"jitter": 1.5},
        {"max_in_flight": 0},
        {"max_in_flight": 2.5},
        {"rpm": True},
        {"rpm": "600"},
        {"fail": 2},
        {"fail": 0.6, "malformed": 0.6},
        {"port": 70_000},
        {"host": ""},
        {"tail": Tail(0.5, 0.5)},
        {"tail": None},
        {"seed": -1},
    ],
)
def test_an_option_out_of_bounds_is_refused_by_its_name(given: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(given))):
        MockOptions(**given)


def test_a_tail_is_read_from_share_and_factor() -> None:
    assert MockOptions(tail="0.05:10").tail == Tail(0.05, 10)


@pytest.mark.parametrize("text", ["", "0.05", "a:b", "0.05:", "1:2:3"])
def test_a_tail_in_any_other_form_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="SHARE:FACTOR"):
        MockOptions(tail=text)


def test_options_change_by_name_and_the_rest_stays() -> None:
    options = MockOptions(rpm=600, max_in_flight=29).changed({"rpm": 300, "tail": "0.1:5", "max_in_flight": None})
    assert (options.rpm, options.tail, options.max_in_flight, options.latency_s) == (300, Tail(0.1, 5), None, 1.0)


@pytest.mark.parametrize("changes", [{"speed": 1}, {"port": 1}, {"seed": 1}, {"rpm": "fast"}, {"tail": 3}])
def test_a_change_that_cannot_be_made_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(changes))):
        MockOptions().changed(changes)


def test_options_survive_the_way_to_the_server() -> None:
    options = MockOptions(host="::1", tail=Tail(0.05, 10), max_in_flight=29, rpm=600, fail=0.1, seed=7)
    assert MockOptions(**json.loads(options.model_dump_json())) == options
