from __future__ import annotations

import itertools

import aiohttp
import pytest

from flair_ray.errors import (
    AuthRefused,
    BadRequest,
    CallTimeout,
    ConnectionLost,
    ModelNotFound,
    ProviderError,
    RateLimited,
    Refused,
    ServerTrouble,
    Unreachable,
)
from flair_ray.providers.endpoint import Endpoint, retry_after_s

HERE = Endpoint("openai", "gpt-x", "https://example.org/v1/")


@pytest.mark.parametrize(
    ("status", "reasons", "kind"),
    [
        (400, [], BadRequest),
        (422, ["invalid_request_error"], BadRequest),
        (400, ["API_KEY_INVALID", "INVALID_ARGUMENT"], AuthRefused),
        (400, ["FAILED_PRECONDITION"], AuthRefused),
        (400, ["content_filter"], Refused),
        (401, ["invalid_api_key"], AuthRefused),
        (402, [], AuthRefused),
        (403, [], AuthRefused),
        (404, ["model_not_found"], ModelNotFound),
        (408, [], ServerTrouble),
        (409, [], ServerTrouble),
        (429, ["rate_limit_exceeded"], RateLimited),
        (429, ["insufficient_quota"], AuthRefused),
        (429, ["exceeded_current_quota_error"], AuthRefused),
        (500, [], ServerTrouble),
        (503, [], ServerTrouble),
        (529, [], ServerTrouble),
    ],
)
def test_a_refusal_is_told_by_status_and_reason(status: int, reasons: list[str], kind: type[ProviderError]) -> None:
    err = HERE.refused(status, reasons, 1.5)
    assert type(err) is kind
    assert str(status) in str(err)
    assert err.retry_after_s == (1.5 if err.retryable else None)


def test_a_message_lets_codes_through_and_no_prose() -> None:
    said = str(
        HERE.refused(400, ["invalid_request_error", "response_format.schema", "Your prompt 'secret plan' is bad"])
    )
    assert "(invalid_request_error, response_format.schema)" in said
    assert "secret" not in said


def test_an_unknown_model_names_the_model_the_address_and_the_way_out() -> None:
    said = str(HERE.refused(404, []))
    assert "'gpt-x'" in said
    assert "https://example.org/v1/" in said
    assert "--model" in said


def _caused(*chain: BaseException) -> BaseException:
    for outer, inner in itertools.pairwise(chain):
        outer.__cause__ = inner
    return chain[0]


@pytest.mark.parametrize(
    ("err", "kind"),
    [
        (_caused(RuntimeError(), aiohttp.ServerDisconnectedError()), ConnectionLost),
        (_caused(RuntimeError(), aiohttp.ClientPayloadError(), ConnectionResetError()), ConnectionLost),
        (_caused(RuntimeError(), aiohttp.SocketTimeoutError()), CallTimeout),
        (_caused(RuntimeError(), TimeoutError()), CallTimeout),
        (_caused(RuntimeError(), aiohttp.ConnectionTimeoutError()), Unreachable),
        (aiohttp.ClientOSError(), ConnectionLost),
        (RuntimeError(), ConnectionLost),
    ],
)
def test_a_silence_is_told_by_what_aiohttp_raised(err: BaseException, kind: type[ProviderError]) -> None:
    assert type(HERE.lost(err, 2.0)) is kind


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after": "20", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:27:00 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:27:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "soon", "retry-after": "2"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after-ms": "nan"}, 0.0),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds
