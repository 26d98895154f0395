"""A client that is closed has no connection, however late somebody comes."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from flair_ray.stores.redis_store import connect


async def test_a_closed_client_connects_for_nobody(redis_url: str) -> None:
    early, client = connect(redis_url), connect(redis_url)
    await client.ping()
    name = {"client_name": "late"}
    client.connection_pool.connection_kwargs |= name
    connecting = [asyncio.create_task(client.ping()) for _ in range(10)]
    await asyncio.sleep(0)  # they are on their way
    await client.connection_pool.aclose()
    with pytest.raises(RedisConnectionError):
        await client.ping()
    await asyncio.gather(*connecting, return_exceptions=True)
    assert [row for row in await early.client_list() if row["name"] == "late"] == []
    await early.aclose()
    await early.connection_pool.aclose()
