"""What every failure test needs: a model that counts, and a session's Ray that is left without our actors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flair_ray.testing.mock_options import MockOptions
from flair_ray.testing.mock_server import MockServer
from tests.chaos.rig import VERSION, Rig

LATENCY_S, JITTER = 0.2, 0.5


@pytest.fixture(scope="session")
def model() -> Iterator[MockServer]:
    with MockServer(MockOptions(latency_s=LATENCY_S, jitter=JITTER)) as server:
        yield server


@pytest.fixture
def mock(model: MockServer) -> MockServer:
    """Slow enough that a quarter of a stage is a moment of its own."""
    model.configure(latency_s=LATENCY_S, jitter=JITTER, tail="0:1")
    model.reset()
    return model


@pytest.fixture
def rig(redis_url: str) -> Rig:
    return Rig(redis_url)


@pytest.fixture(scope="session")
def our_ray(ray_cluster: None) -> Iterator[None]:
    """The session's Ray; the actors that these tests had made there are ended."""
    import ray

    yield
    for actor in ray.util.list_named_actors(all_namespaces=True):
        if actor["name"].endswith(VERSION):
            ray.kill(ray.get_actor(actor["name"], namespace=actor["namespace"]))
