"""What no schema says of the manifests, and the operator, Serve, Ray or Kubernetes refuse or take amiss."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
import ray
import typer
import yaml
from kubernetes_validate import validate
from pydantic import SecretStr

from flair_ray.cli import app as command_line
from flair_ray.config import Settings, load_settings
from flair_ray.domain.ids import given_run_id
from flair_ray.engine.ray_executor import SHARD_CPUS
from tests.cluster.conftest import OVERLAYS, ROOT, Rendered, cluster_spec, of_kind, ray_groups

MIB = 1024**2
SHARD_MIB, AT_REST_MIB = 110, {"head": 1500, "worker": 1100}
"""Measured as proportional set size on one machine: by experiments.weights, and `flair serve` with six default runs."""
WHERE_RAY_READS = ("_private/ray_constants.py", "serve/_private/constants.py", "core/src/ray/gcs/gcs_server")
STUDIO, BATCH = ("kind", "prod"), ("kind-batch", "prod-batch")


def ray_resources(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return of_kind(objects, "RayService", "RayJob")


def mib(quantity: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", quantity).groups()  # type: ignore[union-attr]
    return int(number) * {"Mi": 1, "Gi": 1024}[unit]


def settings_of(objects: list[dict[str, Any]]) -> dict[str, str]:
    (config_map,) = of_kind(objects, "ConfigMap")
    data: dict[str, str] = config_map["data"]
    return data


# -- the operator


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_operator_takes_it(overlay: str, rendered: Rendered) -> None:
    for one in ray_resources(rendered[overlay]):
        spec = cluster_spec(one)
        assert len(one["metadata"]["name"]) <= 47
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", one["metadata"]["name"])
        assert spec["enableInTreeAutoscaling"], "without it minReplicas and maxReplicas are refused"
        assert spec["authOptions"]["mode"] == "token"
        for node_type, group in ray_groups(one):
            (container,) = group["template"]["spec"]["containers"]
            names = {entry["name"] for entry in container["env"]}
            assert not {n for n in names if n.startswith(("RAY_REDIS", "REDIS_", "RAY_AUTH"))}, "set by the operator"
            assert not {"redis-password", "redis-username"} & group["rayStartParams"].keys()
            if node_type == "worker":
                assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


@pytest.mark.parametrize("overlay", STUDIO)
def test_the_studio_is_replaced_without_a_gap(overlay: str, rendered: Rendered) -> None:
    (service,) = of_kind(rendered[overlay], "RayService")
    assert service["spec"]["upgradeStrategy"]["type"] == "NewCluster"
    drain_s = int(settings_of(rendered[overlay])["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
    assert service["spec"]["rayClusterDeletionDelaySeconds"] > drain_s
    assert "externalStorageNamespace" not in cluster_spec(service)["gcsFaultToleranceOptions"]


def test_the_way_in_logs_no_addresses(rendered: Rendered) -> None:
    """They may have tickets."""
    (ingress,) = of_kind(rendered["prod"], "Ingress")
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/enable-access-log"] == "false"


# -- Serve


@pytest.mark.parametrize("overlay", STUDIO)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray's own models
def test_the_studio_is_what_serve_deploy_deploys(overlay: str, rendered: Rendered) -> None:
    """But for its CPU: replicas belong on workers alone, and the head has none."""
    from ray.serve.schema import ServeDeploySchema

    (service,) = of_kind(rendered[overlay], "RayService")
    stands = yaml.safe_load(service["spec"]["serveConfigV2"])
    read = ServeDeploySchema.model_validate(stands).model_dump(mode="json", exclude_unset=True)
    assert read == stands, "Serve ignores what it does not know"
    (api,) = stands["applications"][0].pop("deployments")
    assert stands == yaml.safe_load((ROOT / "cluster/serve.yaml").read_text(encoding="utf-8"))
    assert api["name"] == "api"
    assert api["ray_actor_options"]["num_cpus"] > 0
    assert cluster_spec(service)["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


# -- versions


def test_image_manifests_and_package_are_of_one_version(rendered: Rendered) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = re.search(r"^FROM rayproject/ray:([\d.]+)-py311-cpu$", dockerfile(), re.MULTILINE)
    assert base
    assert base[1] == ray.__version__
    for overlay in OVERLAYS:
        for one in ray_resources(rendered[overlay]):
            assert cluster_spec(one)["rayVersion"] == ray.__version__
            for _, group in ray_groups(one):
                image = group["template"]["spec"]["containers"][0]["image"]
                assert image.split("/")[-1] == f"flair-ray:{project['version']}"


def dockerfile() -> str:
    return (ROOT / "cluster/image/Dockerfile").read_text(encoding="utf-8")


# -- settings and secrets


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_setting_is_one_and_none_is_a_secret(
    overlay: str, rendered: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = {"FLAIR_" + n.upper(): field.annotation for n, field in Settings.model_fields.items()}
    place = Path(ray.__file__).parent
    rays = [(place / name).read_bytes() for name in WHERE_RAY_READS]
    for name, value in settings_of(rendered[overlay]).items():
        if name.startswith("FLAIR_"):
            assert SecretStr not in (ours[name], *get_args(ours[name]))
        else:
            assert name == "AWS_DEFAULT_REGION" or any(name.encode() in text for text in rays)
        monkeypatch.setenv(name, value)
    load_settings()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_changed_settings_are_a_changed_cluster(overlay: str, rendered: Rendered) -> None:
    (config_map,) = of_kind(rendered[overlay], "ConfigMap")
    name = config_map["metadata"]["name"]
    assert re.fullmatch(r"flair-settings-\w{10}", name), "its name has a hash of its content"
    for one in ray_resources(rendered[overlay]):
        for _, group in ray_groups(one):
            sources = group["template"]["spec"]["containers"][0]["envFrom"]
            assert [s["configMapRef"]["name"] for s in sources if "configMapRef" in s] == [name]


@pytest.mark.parametrize("overlay", ["prod", "prod-batch"])
def test_logs_outlive_their_pod(overlay: str, rendered: Rendered) -> None:
    """As files they would go with its scratch."""
    settings = settings_of(rendered[overlay])
    assert (settings["RAY_LOG_TO_STDERR"], settings["FLAIR_LOG_FORMAT"]) == ("1", "json")


def test_no_secret_is_rendered_and_the_runbook_makes_each_that_is_named(rendered: Rendered) -> None:
    objects = [one for overlay in OVERLAYS for one in rendered[overlay]]
    assert of_kind(objects, "Secret") == []
    refs = [ref for one in objects for ref in secret_refs(one)]
    page = (ROOT / "docs/how-to/kuberay.md").read_text(encoding="utf-8")
    assert {name for name, _ in refs} <= set(re.findall(r"create secret generic ([\w-]+)", page))
    for name, key in refs:
        assert key is None or re.search(rf"{name}\b[^`]*--from-literal={key}=", page), f"{name}: {key}"


def secret_refs(value: Any) -> list[tuple[str, str | None]]:
    if isinstance(value, list):
        return [ref for part in value for ref in secret_refs(part)]
    if not isinstance(value, dict):
        return []
    found = [(v["name"], v.get("key")) for k, v in value.items() if k in ("secretRef", "secretKeyRef")]
    if value.get("mode") == "token":
        found.append((value["secretName"], "auth_token"))
    return found + [ref for part in value.values() for ref in secret_refs(part)]


def test_outside_the_laptop_redis_is_reached_by_tls(rendered: Rendered) -> None:
    (service,) = of_kind(rendered["prod"], "RayService")
    assert cluster_spec(service)["gcsFaultToleranceOptions"]["redisAddress"].startswith("rediss://")
    assert "RAY_REDIS_CA_CERT" in settings_of(rendered["prod"])
    assert "FLAIR_ALLOW_ANYONE" not in settings_of(rendered["prod"])


# -- pods


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_memory_is_what_the_processes_need(overlay: str, rendered: Rendered) -> None:
    for one in ray_resources(rendered[overlay]):
        for node_type, group in ray_groups(one):
            resources = group["template"]["spec"]["containers"][0]["resources"]
            memory = resources["limits"]["memory"]
            assert resources["requests"]["memory"] == memory, "what is over a request is what is killed first"
            objects = int(group["rayStartParams"]["object-store-memory"]) / MIB
            cpus = int(group["rayStartParams"].get("num-cpus", resources["limits"]["cpu"]))
            assert AT_REST_MIB[node_type] + objects + cpus / SHARD_CPUS * SHARD_MIB < 0.96 * mib(memory)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_scratch_is_asked_for(overlay: str, ray_pods: Rendered) -> None:
    for pod in ray_pods[overlay]:
        [scratch] = [volume["emptyDir"] for volume in pod["spec"]["volumes"]]
        assert pod["spec"]["containers"][0]["resources"]["requests"]["ephemeral-storage"] == scratch["sizeLimit"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_draining_ends_before_the_pod_does(overlay: str, rendered: Rendered) -> None:
    drain_s = float(settings_of(rendered[overlay])["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
    for one in ray_resources(rendered[overlay]):
        for _, group in ray_groups(one):
            assert drain_s + 15 <= group["template"]["spec"]["terminationGracePeriodSeconds"]
            assert "lifecycle" not in group["template"]["spec"]["containers"][0]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_are_confined(overlay: str, rendered: Rendered, ray_pods: Rendered) -> None:
    """What the namespace's policy, `restricted`, asks for, and a root file system that nobody writes to."""
    (namespace,) = of_kind(rendered[overlay], "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    templates = [one["spec"]["template"] for one in of_kind(rendered[overlay], "StatefulSet")]
    for pod in (*ray_pods[overlay], *templates):
        assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not any("hostPath" in volume for volume in pod["spec"].get("volumes", []))
        for container in pod["spec"]["containers"]:
            context = container["securityContext"]
            assert context["runAsNonRoot"]
            assert context["runAsUser"] >= 1000
            assert context["readOnlyRootFilesystem"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_the_head_has_a_token_of_kubernetes(overlay: str, rendered: Rendered, ray_pods: Rendered) -> None:
    accounts = {one["metadata"]["name"] for one in of_kind(rendered[overlay], "ServiceAccount")}
    for pod in ray_pods[overlay]:
        assert pod["spec"]["serviceAccountName"] in accounts
        has_token = pod["spec"].get("automountServiceAccountToken", True)
        assert has_token == (pod["metadata"]["labels"]["ray.io/node-type"] == "head")
    assert of_kind(rendered[overlay], "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding") == []


@pytest.mark.parametrize("overlay", STUDIO)
def test_the_budget_and_the_spread_are_of_the_studios_workers(
    overlay: str, rendered: Rendered, ray_pods: Rendered
) -> None:
    (budget,) = of_kind(rendered[overlay], "PodDisruptionBudget")
    head, worker = ray_pods[overlay]
    (service,) = of_kind(rendered[overlay], "RayService")
    assert budget["spec"]["minAvailable"] <= ray_groups(service)[1][1]["minReplicas"]
    selectors = [budget["spec"]["selector"], *(s["labelSelector"] for s in spread(worker))]
    assert len(selectors) == 3
    for selector in selectors:
        assert selector["matchLabels"].items() <= worker["metadata"]["labels"].items()
        assert not selector["matchLabels"].items() <= head["metadata"]["labels"].items()


def spread(pod: dict[str, Any]) -> list[dict[str, Any]]:
    constraints: list[dict[str, Any]] = pod["spec"]["topologySpreadConstraints"]
    return constraints


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_port_that_is_named_is_a_pods(overlay: str, rendered: Rendered, ray_pods: Rendered) -> None:
    for monitor in of_kind(rendered[overlay], "PodMonitor"):
        named = [endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]]
        assert sorted(named) == sorted(
            {
                port["name"]
                for pod in ray_pods[overlay]
                if monitor["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
                for container in pod["spec"]["containers"]
                for port in container.get("ports", [])
                if port["name"].endswith("metrics")
            }
        )


# -- the batch run


@pytest.mark.parametrize("overlay", BATCH)
def test_a_batch_run_is_a_line_that_flair_takes_and_pays_once(overlay: str, rendered: Rendered) -> None:
    """A further try has the run's id, and so goes on with it; the dashboard calls the job by it."""
    (job,) = of_kind(rendered[overlay], "RayJob")
    program, *words = shlex.split(job["spec"]["entrypoint"])
    assert program == "flair"
    command: Any = typer.main.get_command(command_line)
    given = command.commands[words[0]].make_context(words[0], words[1:]).params
    assert job["spec"]["metadata"] == {"job_name": given["run_id"]}
    assert given_run_id(given["run_id"])
    assert job["spec"]["backoffLimit"] > 0
    assert job["spec"]["shutdownAfterJobFinishes"]


@pytest.mark.parametrize("overlay", BATCH)
def test_a_batch_run_is_on_the_studios_cluster_but_for_what_stands_apart(overlay: str, rendered: Rendered) -> None:
    (job,), (service,) = of_kind(rendered[overlay], "RayJob"), of_kind(rendered[overlay], "RayService")
    batch, studio = cluster_spec(job), cluster_spec(service)
    assert studio.keys() - batch.keys() == {"gcsFaultToleranceOptions"}
    assert batch.keys() <= studio.keys()
    assert batch["workerGroupSpecs"][0]["minReplicas"] == 0
    for (_, ours), (_, theirs) in zip(ray_groups(job), ray_groups(service), strict=True):
        assert ours["template"]["metadata"]["labels"]["app.kubernetes.io/component"] == "batch"
        for name in ("image", "resources", "env", "securityContext", "volumeMounts", "livenessProbe"):
            mine, its = ours["template"]["spec"]["containers"][0], theirs["template"]["spec"]["containers"][0]
            assert mine[name] == its[name]


def test_a_refused_object_is_refused() -> None:
    """The check of kinds that Kubernetes has is not one that passes everything."""
    with pytest.raises(Exception, match="minAvailble"):
        validate(
            {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": {"minAvailble": 1}}, "1.37", strict=True
        )
