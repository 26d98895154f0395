"""A record in JSON has its run and its stage, and no secret, whoever put one into it."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from datetime import datetime

import pytest
from pydantic import SecretStr

from flair_ray.config import Settings, known_secrets
from flair_ray.telemetry.logs import BLOT, JsonLines, about, set_up

SECRETS = ("sk-made-up-key", 'pass"word\\9', "päss-wörd")


def line(message: str, *args: object, exc_info: bool = False, **extra: object) -> dict[str, object]:
    raised = sys.exc_info() if exc_info else None
    record = logging.LogRecord("flair_ray.x", logging.WARNING, "x.py", 1, message, args, raised)
    vars(record).update(extra)
    text = JsonLines(None, SECRETS).format(record)
    assert "\n" not in text
    read: dict[str, object] = json.loads(text)
    return read


def test_a_line_says_when_who_and_what() -> None:
    read = line("shard %s", "ended", run_id="r1", stage="S1", error="LeaseLost", unknown="left out")
    assert datetime.fromisoformat(str(read.pop("time"))).tzinfo
    assert read == {
        "level": "WARNING",
        "logger": "flair_ray.x",
        "message": "shard ended",
        "run_id": "r1",
        "stage": "S1",
        "error": "LeaseLost",
    }


async def test_what_a_task_is_about_is_in_all_that_it_starts_and_in_nothing_else() -> None:
    async def deeper() -> dict[str, object]:
        with about(stage="S4"):
            return line("inside")

    with about(run_id="r1"):
        inside, beside = await asyncio.gather(deeper(), asyncio.to_thread(line, "beside"))
    assert (inside["run_id"], inside["stage"]) == ("r1", "S4")
    assert beside["run_id"] == "r1"
    assert "stage" not in beside
    assert "run_id" not in line("outside")


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_is_written(secret: str) -> None:
    assert secret not in str(line(f"refused {secret} at once", provider=secret))
    assert BLOT in str(line(secret)["message"])


def test_an_exception_is_its_type_and_its_place_but_not_its_words() -> None:
    try:
        raise ValueError("what a model answered")
    except ValueError:
        read = line("driver failed", exc_info=True)
    assert read["error"] == "ValueError"
    assert "test_logs.py" in str(read["at"])
    assert "what a model answered" not in str(read)


def test_the_secrets_that_we_know_are_those_of_the_settings_and_the_environment() -> None:
    settings = Settings(
        redis_url=SecretStr("rediss://me:p%40ssword@redis.internal:6379/0"),
        api_tokens=SecretStr("ada:abc123,eve:def456"),
    )
    environ = {"OPENAI_API_KEY": "sk-1", "AWS_SESSION_TOKEN": "t-2", "HOME": "here"}
    assert set(known_secrets(settings, environ)) == {"sk-1", "t-2", "p%40ssword", "p@ssword", "abc123", "def456"}
    assert known_secrets(Settings(), {}) == ()
    limited = Settings(api_tokens=SecretStr("ada:abc123:starts=5:max_usd=2 eve:def456"))
    assert set(known_secrets(limited, {})) == {"abc123", "def456"}


def test_whoever_has_set_up_logging_keeps_it(caplog: pytest.LogCaptureFixture) -> None:
    before = [(handler, handler.formatter) for handler in logging.getLogger().handlers]
    set_up("ERROR", "json")
    assert [(handler, handler.formatter) for handler in logging.getLogger().handlers] == before
    assert logging.getLogger("flair_ray").level != logging.ERROR
