"""A model's server as we call it, and what its refusals and silences mean, in one place.

A refusal is told by its status and its machine-readable reasons:

    401, 402, 403, a key or account refused by name ....... AuthRefused     [fatal]
    404 ................................................... ModelNotFound   [fatal]
    429 ................................................... RateLimited     [retryable, Retry-After]
    408, 409, 5xx ......................................... ServerTrouble   [retryable, Retry-After]
    any, by the content filter ............................ Refused
    everything else ....................................... BadRequest

An account without credit answers 429 at OpenAI and Moonshot: waiting does not help, so it is no RateLimited.

No response at all is told by the exception that aiohttp, which carries every provider, raised first.

A message never quotes what the server wrote in prose: servers quote prompts, and OpenAI quotes the key. Their codes
and field names are let through, and only as far as they look like ones.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp

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

CONNECT_TIMEOUT_S: Final = 10.0
CHECK_TIMEOUT_S: Final = 20.0
NO_KEY: Final = "no-key"
"""What a server that wants no key is sent: the SDKs insist on one."""
NO_CREDIT: Final = frozenset({"insufficient_quota", "exceeded_current_quota_error", "FAILED_PRECONDITION"})
"""OpenAI: https://developers.openai.com/api/docs/guides/error-codes
Moonshot: https://platform.kimi.ai/docs/api/errors
Gemini: https://ai.google.dev/gemini-api/docs/troubleshooting"""
BAD_KEY: Final = frozenset({"invalid_api_key", "API_KEY_INVALID"})
"""Gemini answers 400 to a wrong key."""
FILTERED: Final = frozenset({"content_filter"})
"""Moonshot and Azure answer 400 to a prompt that their filter stops."""
_CODE: Final = re.compile(r"[A-Za-z][\w.\[\]-]{0,60}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who was asked for what, in the words of a message."""

    provider: str
    model: str
    url: str

    def too_slow(self, timeout_s: float) -> CallTimeout:
        return CallTimeout(f"{self.provider} gave no answer within {timeout_s:g} s.")

    def lost(self, err: BaseException, timeout_s: float) -> ProviderError:
        """What no response means, by the exception that aiohttp raised first."""
        while err.__cause__ is not None and not isinstance(err, aiohttp.ClientError):
            err = err.__cause__
        if isinstance(err, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            return Unreachable(f"{self.provider} cannot be reached at {self.url}: is it running, is the network up?")
        if isinstance(err, TimeoutError):
            return self.too_slow(timeout_s)
        return ConnectionLost(f"{self.provider} closed the connection before its answer was complete.")

    def unknown_model(self, said: str) -> ModelNotFound:
        return ModelNotFound(f"{said}: there is no model {self.model!r} at {self.url}. Choose another with --model.")

    def unusable(self) -> ServerTrouble:
        return ServerTrouble(f"{self.provider} answered with something that is no completion. Is {self.url} right?")

    def refused(self, status: int, reasons: list[str], wait_s: float | None = None) -> ProviderError:
        """The error for a status that is no success. ``reasons``: codes and field names, most telling first."""
        said = f"{self.provider} answered {status}"
        known = frozenset(reasons)
        if fatal := self._fatal(said, status, known):
            return fatal
        if known & FILTERED:
            return Refused(f"{said}: its content filter stopped the question.")
        if status == 429:
            return RateLimited(f"{said}: too many requests.", wait_s)
        if status in (408, 409) or status >= 500:
            return ServerTrouble(f"{said}.", wait_s)
        return BadRequest(f"{said}: the request was not accepted{_codes(reasons)}.")

    def _fatal(self, said: str, status: int, known: frozenset[str]) -> ProviderError | None:
        if status in (402, 403) or known & NO_CREDIT:
            return AuthRefused(
                f"{said}: the account has no credit left, or its key lacks the right. Look at its console."
            )
        if status == 401 or known & BAD_KEY:
            return AuthRefused(f"{said}: the API key was refused. Check the key that is set for {self.provider}.")
        return self.unknown_model(said) if status == 404 else None


def open_session() -> aiohttp.ClientSession:
    """For google-genai, whose own would be one by inheritance, which aiohttp warns of."""
    timeout = aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT_S)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), trust_env=True, timeout=timeout)


def _codes(reasons: list[str]) -> str:
    codes = [reason for reason in reasons if _CODE.fullmatch(reason)]
    return f" ({', '.join(codes)})" if codes else ""


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from OpenAI's ``retry-after-ms`` or the standard Retry-After, which may be a date.

    None when the server did not say. A date counts from the server's own clock where it tells the time.
    """
    try:
        if exact := headers.get("retry-after-ms"):
            return max(0.0, float(exact) / 1000)
        if (text := headers.get("retry-after", "")).replace(".", "", 1).isdigit():
            return float(text)
        now_s = parsedate_to_datetime(headers["date"]).timestamp() if "date" in headers else time.time()
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_s)
    except ValueError:
        return None
