"""Veo, Google's text-to-video model, through google-genai's own async client.

A video is a long-running operation: asked for once (this is billed), then asked after by the operation's name, from
any process, until it has the video inside. Source: https://googleapis.github.io/python-genai/ and
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/veo-video-generation.

Quirks:

- google-genai 3 has Veo on Google Cloud only: a project with application-default credentials, or a Cloud API key. The
  Gemini API's key is refused by the client itself.
- The longest video is 8 s, so it is made of the script's ``video_prompt`` and is a clip for it, not the whole of it.
- A prompt or video that the safety filter stops is a finished operation without a video.
- Without a bucket of ours the video comes within the last answer, in Base64.
"""

from __future__ import annotations

from collections.abc import Awaitable
from functools import cached_property
from typing import Final

import aiohttp
from google import genai
from google.auth.exceptions import GoogleAuthError
from google.genai import errors, types

from flair_ray.config import Account
from flair_ray.domain.scripts import FinalScript
from flair_ray.errors import AuthRefused, ProviderError, Refused
from flair_ray.providers.endpoint import Endpoint, retry_after_s
from flair_ray.providers.google import GoogleClient, T

DEFAULT_MODEL: Final = "veo-3.1-generate-001"
DEFAULT_LOCATION: Final = "us-central1"
BASE_URL: Final = "https://aiplatform.googleapis.com"
SECONDS: Final = 8
"""4, 6 or 8."""
CALL_TIMEOUT_S: Final = 120.0
"""The last answer carries the video."""


class Veo(GoogleClient):
    """One Veo model in one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._endpoint = Endpoint("veo", account.model or DEFAULT_MODEL, account.base_url or BASE_URL)

    async def begin(self, script: FinalScript) -> str:
        config = types.GenerateVideosConfig(
            number_of_videos=1, aspect_ratio="9:16", duration_seconds=SECONDS, resolution="1080p"
        )
        source = types.GenerateVideosSource(prompt=script.video_prompt or script.personalized_script)
        models = self._client.aio.models
        begun = await self._answered(models.generate_videos(model=self._endpoint.model, source=source, config=config))
        if not begun.name:
            raise self._endpoint.unusable()
        return begun.name

    async def fetch(self, script: FinalScript, operation: str) -> bytes | None:
        asked = types.GenerateVideosOperation.model_validate({"name": operation})
        found = await self._answered(self._client.aio.operations.get(asked))
        if not found.done:
            return None
        if found.error:
            raise ProviderError(f"veo gave this video up: its operation ended with code {found.error.get('code')!r}.")
        videos = found.response.generated_videos if found.response else None
        content = videos[0].video.video_bytes if videos and videos[0].video else None
        if not content:
            raise Refused("veo made no video: its safety filter stopped the prompt or what came of it.")
        return content

    @cached_property
    def _client(self) -> genai.Client:
        account = self._account
        key = account.api_key.get_secret_value() if account.api_key else None
        return genai.Client(
            vertexai=True,
            api_key=key,
            project=None if key else account.project,
            location=None if key else account.location or DEFAULT_LOCATION,
            http_options=types.HttpOptions(
                base_url=account.base_url,
                aiohttp_client=self._session,
                timeout=int(CALL_TIMEOUT_S * 1000),
                retry_options=types.HttpRetryOptions(attempts=1),
            ),
        )

    async def _answered(self, call: Awaitable[T], timeout_s: float = CALL_TIMEOUT_S) -> T:
        return await super()._answered(_signed(call), timeout_s)

    def _refused(self, err: errors.APIError) -> ProviderError:
        headers = err.response.headers if isinstance(err.response, aiohttp.ClientResponse) else {}
        return self._endpoint.refused(err.code, [str(err.status)], retry_after_s(headers))


async def _signed(call: Awaitable[T]) -> T:
    """First of all that may go wrong: some of Google's errors of this kind are ValueErrors, too."""
    try:
        return await call
    except GoogleAuthError as err:
        raise AuthRefused(
            f"Google Cloud's credentials cannot be used ({type(err).__name__}): "
            "run `gcloud auth application-default login`, or set FLAIR_VEO_API_KEY."
        ) from None
