"""One Redis and one Ray for the whole session, started when the first test asks for them.

store, settings ........ a real store on the embedded Valkey; settings with a data directory of the test's own
small_order ............ what somebody asks for, small enough to run in a twentieth of a second
submit, local_driver ... record a run; drive it in this process, with the offline provider
ray_cluster ............ a real local Ray
aws .................... S3 and DynamoDB, as moto plays them, behind HTTP on loopback
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partialmethod
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from redis.asyncio import Redis

# Whatever a developer has exported must neither be spent nor change a result.
for name in list(os.environ):
    if name.startswith(("FLAIR_", "RAY_", "AWS_")) or name.endswith("_API_KEY"):
        del os.environ[name]
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
hypothesis_settings.register_profile("patient", deadline=None)  # a busy machine is no counterexample
hypothesis_settings.load_profile("patient")

from flair_ray.actors.persona_pool import PersonaPool  # noqa: E402
from flair_ray.config import Settings  # noqa: E402
from flair_ray.data import sample_personas, sample_profiles, sample_videos  # noqa: E402
from flair_ray.domain.ids import RunId, new_run_id  # noqa: E402
from flair_ray.engine.asking import Patience  # noqa: E402
from flair_ray.engine.driver import Driver  # noqa: E402
from flair_ray.engine.local_executor import LocalExecutor  # noqa: E402
from flair_ray.engine.order import Order, first_event, prepare  # noqa: E402
from flair_ray.engine.shard import Tools  # noqa: E402
from flair_ray.flow.alone import Alone  # noqa: E402
from flair_ray.flow.clock import SystemClock  # noqa: E402
from flair_ray.flow.in_flight import InFlightLimiter  # noqa: E402
from flair_ray.ports import Executor, Provider  # noqa: E402
from flair_ray.providers.offline import OfflineProvider  # noqa: E402
from flair_ray.stores.embedded import EmbeddedServer  # noqa: E402
from flair_ray.stores.personas import RedisPersonas  # noqa: E402
from flair_ray.stores.redis_store import RedisRunStore, connect  # noqa: E402
from flair_ray.wiring import choose_model, driver_settings  # noqa: E402
from tests.ports import free_ports  # noqa: E402

MACHINE = (
    *("browser", "chaos", "experiments", "notebooks", "system", "unit/engine", "unit/test_preflight.py"),
    *("cluster/test_two_pods.py", "contract/test_executor.py", "docs/test_pages_run.py", "serve_app/test_contract_on_"),
    *("serve_app/test_many_", "serve_app/test_on_a_", "serve_app/test_real_"),
)
"""Tests that start Ray, a browser or a whole studio: xdist gives them to one process, so that no two of them meet."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(Path(__file__).parent).as_posix().startswith(MACHINE):
            item.add_marker(pytest.mark.xdist_group("machine"))


@contextmanager
def serving_redis(folder: Path) -> Iterator[str]:
    """The address of a real server with its data in ``folder``."""
    server = EmbeddedServer(folder)
    server.open()
    yield server.url
    server.close()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server; tests keep apart by their run ids."""
    with serving_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A real local Ray with its dashboard, whose State API shows the tasks; not on the ports that others expect.

    The agent that carries jobs listens on one port of the machine; of a second Ray it would not, and jobs hang there.
    """
    import ray
    from ray._private.parameter import RayParams

    init = partialmethod(RayParams.__init__, dashboard_agent_listen_port=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RayParams, "__init__", init)
        ray.init(
            address="local",
            namespace="flair",
            include_dashboard=True,
            dashboard_port=free_ports(1)[0],
            object_store_memory=150 * 1024**2,
            log_to_driver=False,
            configure_logging=False,
        )
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def aws() -> Iterator[str]:
    """The address of an AWS of our own, which botocore finds in the environment; with a bucket and a table "studio"."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    ours = {"ENDPOINT_URL": f"http://{host}:{port}", "DEFAULT_REGION": "eu-central-1"}
    ours |= {"ACCESS_KEY_ID": "made-up", "SECRET_ACCESS_KEY": "made-up", "EC2_METADATA_DISABLED": "true"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ours.items():
            patch.setenv(f"AWS_{name}", value)
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisRunStore]:
    opened = RedisRunStore(connect(redis_url), run_ttl_s=600)
    yield opened
    await opened.close()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url)
    yield client
    await client.aclose()
    await client.connection_pool.aclose()


@pytest.fixture
def panel(redis: Redis) -> PersonaPool:
    """The persona pool in this process."""
    return PersonaPool(RedisPersonas(redis, run_ttl_s=600))


@pytest.fixture
def small_order() -> Order:
    """12 videos, 6 scripts, 7 viewers, the best 3: 28 calls to the offline provider."""
    return Order(
        profile=sample_profiles()[0].profile,
        videos=sample_videos(),
        personas=sample_personas(),
        model=choose_model("offline").model,
        num_videos=12,
        num_scripts=6,
        num_personas=7,
        top_n=3,
        cache=False,  # every run of a test asks for itself
    )


@pytest.fixture
def submit(store: RedisRunStore, settings: Settings) -> Callable[[Order], Awaitable[RunId]]:
    """Record a run; nobody drives it yet."""

    async def record(order: Order) -> RunId:
        run_id = new_run_id()
        spec, inputs = prepare(order, settings)
        await store.create(run_id, spec, inputs, first_event(run_id, spec))
        return run_id

    return record


@pytest.fixture
def local_tools(store: RedisRunStore, panel: PersonaPool) -> Callable[..., Tools]:
    """What a worker needs, around any provider; the offline one unless told otherwise."""

    def make(provider: Provider | None = None) -> Tools:
        answering = provider or OfflineProvider()
        return Tools(
            provider_for=lambda _: answering,
            store=store,
            patience=Patience(20, 60, 3),
            clock=SystemClock(),
            flights=Alone(),
            limiter_for=lambda _: InFlightLimiter(29),
            budget_for=lambda _: None,
            panel=panel,
            close=store.close,
        )

    return make


@pytest.fixture
def make_driver(store: RedisRunStore, settings: Settings, panel: PersonaPool) -> Callable[[Executor], Driver]:
    """A driver over any executor."""

    def make(executor: Executor) -> Driver:
        return Driver(store, executor, driver_settings(settings), SystemClock(), panel)

    return make


@pytest.fixture
def local_driver(make_driver: Callable[[Executor], Driver], local_tools: Callable[..., Tools]) -> Callable[..., Driver]:
    """A driver that does everything in this process."""
    return lambda provider=None: make_driver(LocalExecutor(local_tools(provider)))
