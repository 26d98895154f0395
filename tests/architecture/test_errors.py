"""Errors travel: through pickle on their way out of a worker, and to a person who has to act on them."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
import re
from collections.abc import Iterator

import pytest

import flair_ray
from flair_ray import errors
from flair_ray.errors import FlairError, LeaseLost, RateLimited, RunNotFound, StageFailed

GIVEN = {
    "message": "What happened, and what to do.",
    "run_id": "8d0f1c9e-0000-4000-8000-000000000000",
    "retry_after_s": 2.5,
    "stage": "S4_MAP",
    "exit_code": 4,
    "where": "videos.csv, line 3",
    "reason": "It holds nothing.",
    "output": ("a script",),
}
"""An argument for every parameter an error's constructor has."""


def every_error() -> Iterator[type[FlairError]]:
    """The whole tree, wherever in the package it grows."""
    for module in pkgutil.walk_packages(flair_ray.__path__, "flair_ray."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = [FlairError]
    for kind in found:
        found += [sub for sub in kind.__subclasses__() if sub.__module__.startswith("flair_ray.")]
    return iter(dict.fromkeys(found))


ERRORS = list(every_error())


def made(kind: type[FlairError]) -> FlairError:
    if kind.__init__ is FlairError.__init__:
        return kind(GIVEN["message"])
    _, *names = inspect.signature(kind.__init__).parameters
    return kind(*(GIVEN[name] for name in names))


def state(error: FlairError) -> tuple[object, ...]:
    ways = (error.retryable, error.reaskable, error.fatal, error.exit_code)
    return type(error), error.args, str(error), vars(error), ways


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_an_error_survives_the_way_through_ray(kind: type[FlairError]) -> None:
    error = made(kind)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert state(pickle.loads(pickle.dumps(error, protocol))) == state(error)  # noqa: S301  # our own bytes
    assert state(copy.copy(error)) == state(error)


def test_attributes_are_there_on_the_other_side() -> None:
    def sent(error: FlairError) -> FlairError:
        loaded = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
        assert isinstance(loaded, FlairError)
        return loaded

    assert sent(RateLimited("429", 3.5)).retry_after_s == 3.5  # type: ignore[attr-defined]
    assert sent(StageFailed("too many", "S1_MAP", 4)).exit_code == 4
    assert sent(LeaseLost("r")).run_id == "r"  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_an_error_says_something_to_somebody(kind: type[FlairError]) -> None:
    assert kind.__doc__
    text = str(made(kind))
    assert re.search(r"[A-Z].*\.$", text), text
    assert kind.exit_code in (1, 2, 3, 4, 5, 130)


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_there_is_one_thing_to_do_about_it(kind: type[FlairError]) -> None:
    assert [kind.retryable, kind.reaskable, kind.fatal].count(True) <= 1


def test_an_instance_does_not_change_its_class() -> None:
    StageFailed("too many", "S1_MAP", 4)
    assert StageFailed("too many", "S1_MAP").exit_code == 3


@pytest.mark.parametrize("kind", [k for k in ERRORS if k.__module__ == errors.__name__], ids=lambda kind: kind.__name__)
def test_the_tree_that_is_drawn_is_the_tree_that_is(kind: type[FlairError]) -> None:
    """Each class at its depth, under its base."""
    lines = str(errors.__doc__).splitlines()
    drawn = {m.group(2): len(m.group(1)) for line in lines if (m := re.match(r"^([ │├└─]*)([A-Z]\w+)( \.|$)", line))}
    assert drawn[kind.__name__] == 4 + 4 * (len(kind.__mro__) - len(FlairError.__mro__))


def test_an_empty_error_still_has_a_name() -> None:
    assert str(errors.InputError()) == "InputError"
    assert "flair runs" in str(RunNotFound("gone"))
