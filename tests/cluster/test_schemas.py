"""Every rendered object, down to the last field, against the schema of its kind.

Ours are those of Kubernetes, bundled with kubernetes-validate. Those of KubeRay are read where they lie beside the
checkout; made strict, because a cluster drops a field that it does not know without a word.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.cluster.conftest import OVERLAYS, ROOT, Rendered, of_kind, ray_groups

KUBERNETES = "1.37"
KUBERAY = ROOT.parent / "shared/schemas/kuberay-v1.7.0"
WITHOUT_SCHEMA = {"PodMonitor", "PrometheusRule"}
"""Of the Prometheus operator, which ships none here; ports are compared with the pods' in test_manifests, and rules are
read in test_watching."""

Schemas = dict[str, jsonschema.Draft202012Validator]


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with nothing allowed that it does not name."""
    made = {key: value for key, value in schema.items() if key != "format"}
    if "properties" in schema:
        made["properties"] = {name: strict(part) for name, part in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields") and "additionalProperties" not in schema:
            made["additionalProperties"] = False
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            made[key] = strict(schema[key])
    return made


@pytest.fixture(scope="session")
def kuberay() -> Schemas:
    if not KUBERAY.is_dir():
        pytest.skip("KubeRay's schemas are not beside this checkout")
    return {
        kind: jsonschema.Draft202012Validator(_v1(KUBERAY / f"ray.io_{kind.lower()}s.yaml"))
        for kind in ("RayService", "RayJob")
    }


def _v1(path: Path) -> dict[str, Any]:
    document = yaml.load(path.read_bytes(), yaml.CSafeLoader)
    version = next(one for one in document["spec"]["versions"] if one["name"] == "v1")
    made = strict(version["schema"]["openAPIV3Schema"])
    made["properties"]["metadata"] = {"type": "object"}
    return made


def problems(schemas: Schemas, resource: dict[str, Any]) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in schemas[resource["kind"]].iter_errors(resource)]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_kubernetes_own_is_valid(overlay: str, rendered: Rendered, ray_pods: Rendered) -> None:
    ours = [one for one in rendered[overlay] if one["kind"] not in {"RayService", "RayJob", *WITHOUT_SCHEMA}]
    assert len(ours) > 8
    for resource in (*ours, *ray_pods[overlay]):
        kubernetes_validate.validate(resource, KUBERNETES, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_kuberays_is_valid(overlay: str, rendered: Rendered, kuberay: Schemas) -> None:
    resources = of_kind(rendered[overlay], "RayService", "RayJob")
    assert len(resources) == (2 if overlay.endswith("batch") else 1)
    assert [problem for one in resources for problem in problems(kuberay, one)] == []


@pytest.mark.parametrize("kind", ["RayService", "RayJob"])
def test_a_misspelt_field_is_found_wherever_it_stands(kind: str, rendered: Rendered, kuberay: Schemas) -> None:
    right = of_kind(rendered["kind-batch"], kind)[0]
    for at in ("spec", "cluster", "pod", "container"):
        wrong = copy.deepcopy(right)
        _, group = ray_groups(wrong)[1]
        place = {
            "spec": wrong["spec"],
            "cluster": group,
            "pod": group["template"]["spec"],
            "container": group["template"]["spec"]["containers"][0],
        }
        place[at]["restartPolicyy"] = "Never"
        assert any("restartPolicyy" in problem for problem in problems(kuberay, wrong)), at
