"""Figures for CloudWatch, under a namespace of its own, where the autoscaling of workers looks."""

from __future__ import annotations

from collections.abc import Mapping

from flair_ray.stores.aws import Aws
from flair_ray.telemetry.metrics import Metric


class CloudWatch:
    """Raises ArchiveUnavailable, as everything of AWS does here."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._aws = Aws("cloudwatch", f"The metrics {namespace!r}")

    async def put(self, figures: Mapping[Metric, float]) -> None:
        data = [{"MetricName": m.cloudwatch, "Value": value, "Unit": "Count"} for m, value in figures.items()]
        await self._aws(lambda client: client.put_metric_data(Namespace=self._namespace, MetricData=data))

    async def close(self) -> None:
        await self._aws.close()
