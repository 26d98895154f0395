"""Figures for CloudWatch, under a namespace of its own, where the autoscaling of workers looks."""

from __future__ import annotations

from collections.abc import Mapping

from flair_ray.stores.aws import Aws

BACKLOG, WORKERS = "BacklogPerWorker", "Workers"
"""Items that wait for a worker, by worker: not there while they wait for permits. Workers: always there."""


class CloudWatch:
    """Raises ArchiveUnavailable, as everything of AWS does here."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._aws = Aws("cloudwatch", f"The metrics {namespace!r}")

    async def put(self, figures: Mapping[str, float]) -> None:
        data = [{"MetricName": name, "Value": value, "Unit": "Count"} for name, value in figures.items()]
        await self._aws(lambda client: client.put_metric_data(Namespace=self._namespace, MetricData=data))

    async def close(self) -> None:
        await self._aws.close()
