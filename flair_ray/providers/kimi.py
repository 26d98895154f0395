"""Kimi, on Moonshot's open platform: OpenAI chat completions with quirks of its own.

- Base URL https://api.moonshot.ai/v1 (https://platform.kimi.ai/docs/api/chat); mainland China has its own platform
  with its own keys, https://api.moonshot.cn/v1, for FLAIR_KIMI_BASE_URL.
- Models: https://platform.kimi.ai/docs/models. kimi-k2.6 and kimi-k2.5 think unless told not to; our short structured
  answers do not need it. kimi-k3 always thinks, as much as ``reasoning_effort`` says; kimi-k2.7-code always thinks
  and takes no word about it. All of it counts against the token limit.
- ``max_tokens`` is deprecated for ``max_completion_tokens``, sampling parameters are fixed by the model, ``seed`` is
  not documented (https://platform.kimi.ai/docs/api/chat).
- A strict schema must be "Moonshot flavored": no bounds, at most ten branches of an anyOf
  (https://github.com/MoonshotAI/walle/blob/main/docs/mfjs-spec.md). Enumerations may have 500 values.
- ``usage.cached_tokens`` stands at the top level, newer models repeat it where OpenAI has it.
- A prompt that the filter stops is a 400 with the type ``content_filter``, an account without credit a 429 with
  ``exceeded_current_quota_error`` (https://platform.kimi.ai/docs/api/errors).

Documented limits, by what the account has paid in so far (https://platform.kimi.ai/docs/pricing/limits). Tokens per
minute are counted as input plus the *limit* of the output, not as what was written:

    tier (paid in)   in flight      RPM        TPM
    0  ($1)                  1        3    500,000
    1  ($10)                50      200  2,000,000
    2  ($20)               100      500  3,000,000
    3  ($100)              200    5,000  3,000,000
    4  ($1,000)            400    5,000  4,000,000
    5  ($3,000)          1,000   10,000  5,000,000
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from pydantic import SecretStr

from flair_ray.domain.schema import SchemaDialect
from flair_ray.providers.openai_compatible import Dialect, OpenAICompatible

BASE_URL: Final = "https://api.moonshot.ai/v1"
KIMI: Final = Dialect(
    limit_field="max_completion_tokens", seeded=False, schema=SchemaDialect(), thinking_tokens=8192, lists_models=True
)
"""Of a model that thinks and takes no word about it."""
_NOT_THINKING: Final = replace(KIMI, extra={"thinking": {"type": "disabled"}}, thinking_tokens=0)
_BY_FAMILY: Final[Mapping[str, Dialect]] = {
    "kimi-k2.5": _NOT_THINKING,
    "kimi-k2.6": _NOT_THINKING,
    "kimi-k3": replace(KIMI, extra={"reasoning_effort": "low"}),
    "moonshot-v1": replace(KIMI, thinking_tokens=0),
}


class Kimi(OpenAICompatible):
    """One Kimi model."""

    def __init__(self, model: str, api_key: SecretStr | None, base_url: str | None = None) -> None:
        super().__init__("kimi", model, api_key, base_url or BASE_URL, kimi_dialect(model))


def kimi_dialect(model: str) -> Dialect:
    return next((dialect for family, dialect in _BY_FAMILY.items() if model.startswith(family)), KIMI)
