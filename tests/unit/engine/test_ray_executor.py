"""How a stage is cut into shards, and what is done where nobody takes them. The rest is in the executors' contract."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import ray
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR as JOB_CONFIG

from flair_ray.engine import ray_executor
from flair_ray.engine.ray_executor import QUEUED_CPUS, SHARD_CPUS, deserted_after, shards_for
from flair_ray.errors import ClusterUnavailable


@pytest.mark.parametrize(
    ("cores", "items", "stages", "shards"),
    [
        (1, 100, 1, 1),
        (2, 8, 1, 1),
        (2, 19, 1, 1),
        (2, 20, 1, 2),
        (2, 100, 1, 2),
        (2, 100, 10, 1),
        (2, 1000, 1, 2),
        (8, 100, 1, 2),
        (8, 400, 1, 8),
        (64, 10_000, 1, 64),
    ],
)
def test_shards_are_few_while_the_cores_can_carry_them(
    monkeypatch: pytest.MonkeyPatch, cores: int, items: int, stages: int, shards: int
) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": float(cores)})
    assert shards_for(items, stages) == (shards, SHARD_CPUS)


@pytest.mark.parametrize(("cores", "items", "shards"), [(0, 10_000, 20), (2, 1001, 3), (2, 10_000, 20), (8, 5000, 10)])
def test_a_longer_stage_is_a_queue_that_asks_for_more_than_there_is(
    monkeypatch: pytest.MonkeyPatch, cores: int, items: int, shards: int
) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": float(cores)} if cores else {})
    assert shards_for(items) == (shards, QUEUED_CPUS)


async def test_a_cluster_that_nobody_joins_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ray_executor, "NODE_LOOK_S", 0.01)
    present = iter([0, 1, *[0] * 99])
    monkeypatch.setattr(ray_executor, "workers", lambda: next(present))
    with pytest.raises(ClusterUnavailable, match="FLAIR_NODE_WAIT_S"):
        raise await deserted_after(0.05)
    assert len(list(present)) == 99 - 5
    ours = [record for record in caplog.records if record.name == ray_executor.__name__]
    assert [r.getMessage().split(":")[0] for r in ours] == ["No node of the cluster takes work yet"] * 2


def kept(monkeypatch: pytest.MonkeyPatch, runtime_env: dict[str, object]) -> object:
    monkeypatch.setenv(JOB_CONFIG, json.dumps({"runtime_env": runtime_env, "metadata": {"job_name": "batch"}}))
    ray_executor._keep_the_jobs_files()
    config = json.loads(os.environ[JOB_CONFIG])
    assert config["metadata"] == {"job_name": "batch"}
    return config["runtime_env"]


def test_a_jobs_files_stay_with_its_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files: dict[str, object] = {"working_dir": "gcs://a.zip", "env_vars": {}}
    monkeypatch.chdir(tmp_path)
    assert kept(monkeypatch, files) == {}
    assert kept(monkeypatch, files | {"env_vars": {"A": "b"}}) == {"env_vars": {"A": "b"}}
    assert kept(monkeypatch, files | {"pip": ["flair_ray"]}) == files | {"pip": ["flair_ray"]}
    monkeypatch.chdir(Path(ray_executor.__file__).parents[2])
    assert kept(monkeypatch, files) == files
