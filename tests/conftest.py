"""One Redis and one Ray for the whole session, started when the first test asks for them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

# Whatever a developer has exported must neither be spent nor change a result.
for name in list(os.environ):
    if name.startswith("FLAIR_") or name.endswith("_API_KEY") or name.startswith("RAY_"):
        del os.environ[name]
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from flair_ray.config import Settings
from flair_ray.stores.embedded import EmbeddedServer
from flair_ray.stores.redis_store import RedisRunStore, connect


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server; tests keep apart by their run ids."""
    server = EmbeddedServer(tmp_path_factory.mktemp("redis"))
    server.open()
    yield server.url
    server.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisRunStore]:
    opened = RedisRunStore(connect(redis_url), run_ttl_s=600)
    yield opened
    await opened.close()

