"""What the adapters of google-genai have in common: one HTTP session, one end, one reading of what fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import cached_property
from typing import TypeVar

import aiohttp
from google import genai
from google.genai import errors

from flair_ray.errors import ProviderError
from flair_ray.providers.endpoint import Endpoint, open_session

T = TypeVar("T")


class GoogleClient:
    """To be given an ``_endpoint`` and a cached ``_client`` that uses ``_session``."""

    _endpoint: Endpoint

    async def close(self) -> None:
        if "_client" in self.__dict__:
            await self._client.aio.aclose()
            self._client.close()
            await self._session.close()

    @cached_property
    def _session(self) -> aiohttp.ClientSession:
        """Made when the first call needs it: a session belongs to a running event loop."""
        return open_session()

    @cached_property
    def _client(self) -> genai.Client:
        raise NotImplementedError

    def _refused(self, err: errors.APIError) -> ProviderError:
        raise NotImplementedError

    async def _answered(self, call: Awaitable[T], timeout_s: float) -> T:
        try:
            async with asyncio.timeout(timeout_s):
                return await call
        except errors.APIError as err:
            raise self._refused(err) from None
        except TimeoutError:
            raise self._endpoint.too_slow(timeout_s) from None
        except aiohttp.ClientError as err:
            raise self._endpoint.lost(err, timeout_s) from None
        except (ValueError, errors.UnknownApiResponseError):
            raise self._endpoint.unusable() from None
