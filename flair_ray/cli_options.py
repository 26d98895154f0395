"""The options that `run`, `submit` and `estimate` have in common: those of ``RunOptions`` that have a text.

Typer reads a command's signature. A command that takes ``given`` first gets, in its place, one option per field, and
finds them in ``given`` under the fields' names.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import fields
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from flair_ray.options import RunOptions

Given = dict[str, Any]
"""Options by the names of RunOptions' fields."""


def _parameters() -> Iterator[Parameter]:
    """A path or a text where the library also takes the value itself."""
    hints = get_type_hints(RunOptions, include_extras=True)
    for option in fields(RunOptions):
        taken, *said = get_args(hints[option.name])
        if len(said) == 1 and isinstance(said[0], str):
            kind = next((k for k in (Path, str) if k in get_args(taken)), None)
            wanted: Any = kind | None if kind else taken
            form = Annotated[wanted, typer.Option(help=said[0])]
            yield Parameter(option.name, Parameter.KEYWORD_ONLY, default=option.default, annotation=form)


_SHARED = list(_parameters())


def as_words(given: Given) -> list[str]:
    """The words of a command line that gives these options; those at their defaults are left away."""
    words = []
    for parameter in _SHARED:
        value, name = given[parameter.name], parameter.name.replace("_", "-")
        if isinstance(value, bool):
            words += [f"--{name}" if value else f"--no-{name}"] * (value != parameter.default)
        elif value != parameter.default:
            words += [f"--{name}", str(value)]
    return words


def with_run_options(command: Callable[..., None]) -> Callable[..., None]:
    """``command(given, …)`` with its first parameter replaced by the options."""
    own = list(signature(command, eval_str=True).parameters.values())[1:]

    @functools.wraps(command)
    def wrapped(**values: Any) -> None:
        given = {parameter.name: values.pop(parameter.name) for parameter in _SHARED}
        command(given, **values)

    parameters = [*_SHARED, *(p.replace(kind=Parameter.KEYWORD_ONLY) for p in own)]
    wrapped.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # what Typer reads
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapped
