"""One service of AWS, called from a few threads of its own: boto3 blocks, and what hangs there holds up nothing else.

Address, region and keys are found by botocore itself, under its own names (AWS_ENDPOINT_URL, AWS_DEFAULT_REGION,
AWS_PROFILE, the role of a machine): https://docs.aws.amazon.com/sdkref/latest/guide/. boto3 is loaded with the first
call.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

from flair_ray.errors import ArchiveUnavailable

T = TypeVar("T")
MOST_CALLS = 8
ATTEMPTS = 3
"""Of one request, with backoff in between."""
CONNECT_S, READ_S = 3, 20
MAKING = threading.Lock()
"""Clients may be used by several threads, and be made by one at a time."""


@cache
def _session() -> Any:
    """One per process: what describes a service is large, and read once."""
    import boto3

    return boto3.Session()


class Aws:
    """``work`` gets a client, in a thread. What AWS, or the way to it, refuses is an ArchiveUnavailable."""

    def __init__(self, service: str, what: str) -> None:
        self._service, self._what = service, what
        self._threads = ThreadPoolExecutor(MOST_CALLS, thread_name_prefix=service)
        self._client: Any = None

    async def __call__(self, work: Callable[[Any], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._call, work)

    async def close(self) -> None:
        if self._client is not None:
            await asyncio.to_thread(self._client.close)
        self._threads.shutdown(wait=False)

    def _call(self, work: Callable[[Any], T]) -> T:
        try:
            from boto3.exceptions import Boto3Error
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError:
            raise ArchiveUnavailable(f"{self._what} needs boto3: pip install 'flair_ray[aws]'.") from None
        try:
            return work(self._connected())
        except (Boto3Error, BotoCoreError, ClientError) as err:
            raise ArchiveUnavailable(f"{self._what} cannot be used: {err}. `flair doctor` says what to do.") from err

    def _connected(self) -> Any:
        from botocore.config import Config

        with MAKING:
            if self._client is None:
                self._client = _session().client(
                    self._service,
                    config=Config(
                        connect_timeout=CONNECT_S,
                        read_timeout=READ_S,
                        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                        max_pool_connections=2 * MOST_CALLS,
                        signature_version="s3v4" if self._service == "s3" else None,
                        s3={"addressing_style": "path"},  # other servers have no name per bucket
                    ),
                )
            return self._client
