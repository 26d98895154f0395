"""Before anything is spent, all who will be asked are asked whether they would answer: who writes, and who votes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from flair_ray import wiring
from flair_ray.config import Settings
from flair_ray.domain.runs import ModelChoice
from flair_ray.engine import ray_executor, ray_limiter, ray_personas, ray_worker
from flair_ray.errors import AuthRefused, FlairError

WRITER, VOTER = ModelChoice("offline", "offline-heuristic"), ModelChoice("kimi", "kimi-k2.6")


class Keyring:
    """Refuses the key of one provider, and knows who was asked."""

    def __init__(self, refuses: str) -> None:
        self.refuses = refuses
        self.asked: list[str] = []

    def provider_for(self, model: ModelChoice) -> object:
        async def check() -> None:
            self.asked.append(model.provider)
            if model.provider == self.refuses:
                raise AuthRefused(f"{model.provider} refuses the key.")

        return SimpleNamespace(check=check)


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(ray_worker, "_loop", None)
    yield
    ray_worker._persistent_loop().close()


@pytest.mark.usefixtures("loop")
@pytest.mark.parametrize("refuses", ["kimi", "offline", "nobody"])
def test_a_refused_key_of_either_is_found(monkeypatch: pytest.MonkeyPatch, refuses: str) -> None:
    ring = Keyring(refuses)

    async def tools_of(_: object) -> Keyring:
        return ring

    monkeypatch.setattr(ray_worker, "_tools_of", tools_of)
    kit = ray_worker.ToolKit("a", lambda: None)  # type: ignore[arg-type,return-value]  # never built
    found = ray_worker.warm_worker(kit, (WRITER, VOTER), check=True)
    assert isinstance(found, AuthRefused) is (refuses != "nobody")
    assert sorted(ring.asked) == ["kimi", "offline"]
    assert ray_worker.warm_worker(kit, (WRITER, VOTER), check=False) is None


@pytest.mark.parametrize(
    ("voters", "asked", "limited"),
    [(None, (WRITER,), False), (WRITER, (WRITER,), False), (VOTER, (WRITER, VOTER), True)],
)
async def test_a_studio_asks_both_and_opens_only_if_they_answer(
    monkeypatch: pytest.MonkeyPatch,
    redis_url: str,
    settings: Settings,
    voters: ModelChoice | None,
    asked: tuple[ModelChoice, ...],
    limited: bool,
) -> None:
    warmed: list[Sequence[ModelChoice]] = []
    limiters: list[str] = []

    class Executor:
        def __init__(self, *_: object) -> None: ...

        async def warm(self, models: Sequence[ModelChoice], *, everywhere: bool) -> None:
            warmed.append(models)
            if VOTER in models:
                raise AuthRefused("kimi refuses the key.")

    monkeypatch.setattr(wiring, "_start_ray", lambda _: 1)
    monkeypatch.setattr(ray_executor, "RayExecutor", Executor)
    monkeypatch.setattr(ray_executor, "leave_ray", lambda: None)
    monkeypatch.setattr(ray_limiter, "start_limiter", lambda url, _: limiters.append(url))
    monkeypatch.setattr(ray_personas, "RayPanel", lambda *_: SimpleNamespace(start=lambda: None))
    settings = settings.model_copy(update={"redis_url": SecretStr(redis_url)})
    opened, refused = False, False
    try:
        async with wiring.open_studio(settings, wiring.choose_model("offline"), None, voters):
            opened = True
    except FlairError as err:
        refused = isinstance(err, AuthRefused)
    assert (opened, refused) == (VOTER not in asked, VOTER in asked)
    assert warmed == [asked]
    assert bool(limiters) is limited
    await asyncio.sleep(0)
