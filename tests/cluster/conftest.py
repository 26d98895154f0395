"""What kubectl makes of the manifests, rendered once per session; nothing here needs a cluster.

rendered ........ overlay -> its objects
ray_pods ........ overlay -> every pod of a RayService or RayJob, as a Pod of its own
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = ("kind", "kind-batch", "prod", "prod-batch")
CLUSTER_SPEC = {"RayService": "rayClusterConfig", "RayJob": "rayClusterSpec"}
Rendered = dict[str, list[dict[str, Any]]]


def tool(name: str) -> str:
    """A program that comes with the development dependencies."""
    return str(Path(sys.executable).parent / name)


def of_kind(objects: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [one for one in objects if one["kind"] in kinds]


def cluster_spec(resource: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = resource["spec"][CLUSTER_SPEC[resource["kind"]]]
    return spec


def ray_groups(resource: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The pods of a cluster: what Ray calls their type, and their group."""
    spec = cluster_spec(resource)
    return [("head", spec["headGroupSpec"]), *(("worker", group) for group in spec["workerGroupSpecs"])]


def as_pod(resource: dict[str, Any], node_type: str, group: dict[str, Any]) -> dict[str, Any]:
    """What the operator makes of a group, as far as it is ours: with its labels, and the autoscaler beside the head."""
    template, spec = group["template"], cluster_spec(resource)
    labels = {**template["metadata"]["labels"], "ray.io/is-ray-node": "yes", "ray.io/node-type": node_type}
    containers = [*template["spec"]["containers"]]
    if node_type == "head":
        beside = {key: value for key, value in spec["autoscalerOptions"].items() if key not in OF_THE_AUTOSCALER}
        containers.append({"name": "autoscaler", "image": containers[0]["image"], **beside})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{resource['metadata']['name']}-{node_type}",
            "namespace": resource["metadata"]["namespace"],
            "labels": labels,
            "annotations": template["metadata"].get("annotations", {}),
        },
        "spec": {**template["spec"], "containers": containers},
    }


OF_THE_AUTOSCALER = {"version", "idleTimeoutSeconds", "upscalingMode"}


@pytest.fixture(scope="session")
def rendered() -> Rendered:
    def render(overlay: str) -> list[dict[str, Any]]:
        made = subprocess.run(
            [tool("kubectl"), "kustomize", str(ROOT / "cluster/kuberay" / overlay)], capture_output=True, check=False
        )
        assert made.returncode == 0, made.stderr.decode()
        return list(yaml.load_all(made.stdout, yaml.CSafeLoader))

    return {overlay: render(overlay) for overlay in OVERLAYS}


@pytest.fixture(scope="session")
def ray_pods(rendered: Rendered) -> Rendered:
    return {
        overlay: [as_pod(one, *group) for one in of_kind(objects, "RayService", "RayJob") for group in ray_groups(one)]
        for overlay, objects in rendered.items()
    }
