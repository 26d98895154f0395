"""The templates for ECS: what they hold, that they agree with the code, and that two linters find nothing.

CDK, cfn-lint and checkov have an environment of their own, `make cluster-tools`.
"""

from __future__ import annotations

import json
import re
import subprocess
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml

from flair_ray.config import KEY_NAMES, Settings
from flair_ray.stores.dynamodb import EXPIRY, INDEX, INDEX_KEYS, KEYS
from flair_ray.telemetry.metrics import BACKLOG, WORKERS
from tests.system.conftest import tool

pytestmark = pytest.mark.long
ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 51_200
"""What CloudFormation takes without a bucket."""
Found = dict[str, dict[str, Any]]


class Stacks:
    """Both stacks of one environment."""

    def __init__(self, folder: Path, environment: str) -> None:
        self.environment = environment
        self.name = f"flair-{environment}"
        self.paths = [folder / f"{self.name}-{part}.template.json" for part in ("foundation", "service")]

    @cached_property
    def resources(self) -> Found:
        return {k: v for p in self.paths for k, v in json.loads(p.read_text(encoding="utf-8"))["Resources"].items()}

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [r.get("Properties", {}) for r in self.resources.values() if r["Type"] == f"AWS::{kind}"]

    def one(self, kind: str) -> dict[str, Any]:
        [found] = self.of(kind)
        return found

    def service(self, name: str) -> dict[str, Any]:
        return next(s for s in self.of("ECS::Service") if s["ServiceName"] == name)

    def container(self, name: str) -> dict[str, Any]:
        containers = [c for task in self.of("ECS::TaskDefinition") for c in task["ContainerDefinitions"]]
        return next(c for c in containers if c["Name"] == name)

    def environ(self, name: str) -> dict[str, Any]:
        return {entry["Name"]: entry["Value"] for entry in self.container(name)["Environment"]}


@pytest.fixture(scope="session", params=["dev", "prod"])
def stacks(request: pytest.FixtureRequest, templates: Path) -> Stacks:
    return Stacks(templates, request.param)


NODES = ("head", "front", "worker")


def test_a_template_needs_no_bucket(stacks: Stacks) -> None:
    assert [path.name for path in stacks.paths if path.stat().st_size > MOST_BYTES] == []


def test_the_table_is_the_one_that_the_code_uses(stacks: Stacks) -> None:
    table = stacks.one("DynamoDB::Table")

    def schema(keys: dict[str, str]) -> list[dict[str, str]]:
        return [{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()]

    [index] = table["GlobalSecondaryIndexes"]
    assert (table["KeySchema"], index["KeySchema"], index["IndexName"]) == (schema(KEYS), schema(INDEX_KEYS), INDEX)
    assert index["Projection"] == {"ProjectionType": "ALL"}
    assert {(a["AttributeName"], a["AttributeType"]) for a in table["AttributeDefinitions"]} == {
        (name, "S") for name in (*KEYS, *INDEX_KEYS)
    }
    assert table["TimeToLiveSpecification"] == {"AttributeName": EXPIRY, "Enabled": True}
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
    assert table["DeletionProtectionEnabled"] is (stacks.environment == "prod")


def test_files_are_private_versioned_and_go_when_their_records_go(stacks: Stacks) -> None:
    for bucket in stacks.of("S3::Bucket"):
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["VersioningConfiguration"]["Status"] == "Enabled"
    environ = stacks.environ("worker")
    rules = [rule for b in stacks.of("S3::Bucket") for rule in b["LifecycleConfiguration"]["Rules"]]
    [of_runs] = [rule for rule in rules if rule.get("Prefix") == environ["FLAIR_S3_PREFIX"]]
    assert str(of_runs["ExpirationInDays"]) == environ["FLAIR_KEEP_DAYS"]
    assert environ["FLAIR_S3_PREFIX"] == Settings.model_fields["s3_prefix"].default


def test_each_valkey_has_tls_a_password_a_replica_failover_and_snapshots_and_evicts_nothing(stacks: Stacks) -> None:
    groups = stacks.of("ElastiCache::ReplicationGroup")
    assert len(groups) == 2, "the studio's and Ray's"
    for group in groups:
        assert (group["Engine"], group["NumCacheClusters"]) == ("valkey", 2)
        wanted = ("TransitEncryptionEnabled", "AtRestEncryptionEnabled", "AutomaticFailoverEnabled", "MultiAZEnabled")
        assert all(group[name] is True for name in wanted)
        assert group["SnapshotRetentionLimit"] >= 7
        assert group["UserGroupIds"]
    for parameters in stacks.of("ElastiCache::ParameterGroup"):
        assert parameters["Properties"] == {"maxmemory-policy": "noeviction"}
    for user in stacks.of("ElastiCache::User"):
        assert "{{resolve:secretsmanager:" in json.dumps(user["AuthenticationMode"]["Passwords"])


def test_nobody_from_outside_reaches_anything_but_https(stacks: Stacks) -> None:
    rules = [rule for group in stacks.of("EC2::SecurityGroup") for rule in group.get("SecurityGroupIngress", [])]
    rules += stacks.of("EC2::SecurityGroupIngress")
    outside = [rule["FromPort"] for rule in rules if "SourceSecurityGroupId" not in rule]
    assert outside == [443]
    for name in NODES:
        network = stacks.service(name)["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert network["AssignPublicIp"] == "DISABLED"
    [listener] = stacks.of("ElasticLoadBalancingV2::Listener")
    assert (listener["Port"], listener["Protocol"]) == (443, "HTTPS")
    endpoints = json.dumps(stacks.of("EC2::VPCEndpoint"))
    assert ".s3" in endpoints
    assert ".dynamodb" in endpoints


def test_nodes_may_do_what_the_documentation_lists_and_nothing_else(stacks: Stacks) -> None:
    page = (ROOT / "docs" / "how-to" / "keep-for-good.md").read_text(encoding="utf-8")
    listed = page.split("They need these rights")[1].split("to make it")[0]
    files = set(re.findall(r"s3:\w+", listed))
    records = {f"dynamodb:{name}" for name in re.findall(r"(?:dynamodb:|`)([A-Z]\w+)`", listed)}
    policies = [
        p["PolicyDocument"]["Statement"]
        for key, r in stacks.resources.items()
        if key.startswith("rolestask") and (p := r["Properties"]) and r["Type"] == "AWS::IAM::Policy"
    ]
    statements = [statement for policy in policies for statement in policy]
    actions = {a for s in statements for a in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])}
    own = {a for a in actions if not a.startswith("kms:")}
    assert own == files | (records - {"dynamodb:CreateTable"}) | {"cloudwatch:PutMetricData"}
    [anywhere] = [s for s in statements if s["Resource"] == "*"]
    assert anywhere["Action"] == "cloudwatch:PutMetricData"
    assert anywhere["Condition"] == {"StringEquals": {"cloudwatch:namespace": stacks.name}}


@pytest.mark.parametrize("name", NODES)
def test_nodes_are_set_up_by_what_the_code_reads(stacks: Stacks, name: str) -> None:
    container, environ = stacks.container(name), stacks.environ(name)
    secrets = {s["Name"] for s in container["Secrets"]}
    known = {f"FLAIR_{field.upper()}" for field in Settings.model_fields} | {"FLAIR_IMAGE"}
    of_the_command = set(re.findall(r"\$(FLAIR_\w+)", container["Command"][0]))
    assert {n for n in environ.keys() | secrets if n.startswith("FLAIR_")} <= known | of_the_command
    assert "FLAIR_REDIS_URL" in container["Command"][0]
    assert {names[0] for names in KEY_NAMES.values()} <= secrets
    template = json.loads(
        next(s["GenerateSecretString"] for s in stacks.of("SecretsManager::Secret") if s["Name"].endswith("/keys"))[
            "SecretStringTemplate"
        ]
    )
    assert secrets - {"FLAIR_REDIS_PASSWORD", "RAY_REDIS_PASSWORD"} == template.keys() | {"RAY_AUTH_TOKEN"}
    assert ("RAY_REDIS_PASSWORD" in secrets) == (name == "head")
    assert environ["RAY_AUTH_MODE"] == "token"


@pytest.mark.parametrize("name", NODES)
def test_a_container_writes_nowhere_but_to_memory(stacks: Stacks, name: str) -> None:
    container = stacks.container(name)
    assert container["ReadonlyRootFilesystem"] is True
    assert container["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
    assert {t["ContainerPath"] for t in container["LinuxParameters"]["Tmpfs"]} == {"/dev/shm", "/tmp"}
    drain_s = int(stacks.environ(name)["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
    assert drain_s < container["StopTimeout"] == 120
    assert subprocess.run(["bash", "-n", "-c", container["Command"][0]], check=False).returncode == 0


def test_the_head_never_overlaps_itself_and_is_found_by_name(stacks: Stacks) -> None:
    head = stacks.service("head")
    deployment = head["DeploymentConfiguration"]
    assert (head["DesiredCount"], deployment["MinimumHealthyPercent"], deployment["MaximumPercent"]) == (1, 0, 100)
    assert head["ServiceRegistries"]
    [record] = stacks.of("ServiceDiscovery::Service")
    [namespace] = stacks.of("ServiceDiscovery::PrivateDnsNamespace")
    address = f"--address {record['Name']}.{namespace['Name']}:$port"
    assert all(address in stacks.container(name)["Command"][0] for name in ("front", "worker"))
    assert all(stacks.service(n)["DeploymentConfiguration"]["DeploymentCircuitBreaker"]["Rollback"] for n in NODES)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray's own models
def test_a_replica_is_on_every_front_node_and_nowhere_else(stacks: Stacks) -> None:
    from ray.serve.schema import ServeDeploySchema

    config = json.loads(stacks.environ("head")["SERVE_CONFIG"])
    ServeDeploySchema.model_validate(config)
    base = yaml.safe_load((ROOT / "cluster" / "serve.yaml").read_text(encoding="utf-8"))
    [app] = config["applications"]
    [api] = app.pop("deployments")
    assert app | {"args": base["applications"][0]["args"]} == base["applications"][0]
    front = stacks.service("front")
    assert api["autoscaling_config"] == dict.fromkeys(("min_replicas", "max_replicas"), front["DesiredCount"])
    assert api["ray_actor_options"]["resources"] == {"front": 1}
    offers = {name: "--resources '{\"front\": 1}'" in stacks.container(name)["Command"][0] for name in NODES}
    assert offers == {"head": False, "front": True, "worker": False}
    balanced = [name for name in NODES if "LoadBalancers" in stacks.service(name)]
    assert balanced == ["front"]
    deployment = front["DeploymentConfiguration"]
    assert deployment["MaximumPercent"] == 100, "a node beyond the replicas would never be healthy"
    assert front["DesiredCount"] * deployment["MinimumHealthyPercent"] <= 100 * (front["DesiredCount"] - 1)


def test_workers_follow_what_the_app_tells(stacks: Stacks) -> None:
    policy = stacks.one("ApplicationAutoScaling::ScalingPolicy")["TargetTrackingScalingPolicyConfiguration"]
    metric = policy["CustomizedMetricSpecification"]
    assert (metric["Namespace"], metric["MetricName"]) == (stacks.name, BACKLOG.cloudwatch)
    assert {stacks.environ(name)["FLAIR_CLOUDWATCH_NAMESPACE"] for name in NODES} == {stacks.name}
    target = stacks.one("ApplicationAutoScaling::ScalableTarget")
    assert 1 <= target["MinCapacity"] < target["MaxCapacity"]
    assert "DesiredCount" not in stacks.service("worker"), "a deployment would undo the scaling"


def test_alarms_tell_somebody_and_ask_for_what_is_published(stacks: Stacks) -> None:
    alarms = stacks.of("CloudWatch::Alarm")
    assert all(alarm["AlarmActions"] for alarm in alarms)
    assert (stacks.name, WORKERS.cloudwatch) in {(a.get("Namespace"), a.get("MetricName")) for a in alarms}
    memory = [a["Dimensions"] for a in alarms if a.get("MetricName") == "MemoryUtilization"]
    assert len(memory) == len(NODES)
    metrics = [m["MetricStat"]["Metric"] for a in alarms for m in a.get("Metrics", []) if "MetricStat" in m]
    of_valkey = [m for m in metrics if m["Namespace"] == "AWS/ElastiCache"]
    nodes = [json.dumps(m["Dimensions"]) for m in of_valkey]
    assert len(of_valkey) == 2 * sum(g["NumCacheClusters"] for g in stacks.of("ElastiCache::ReplicationGroup"))
    assert all(re.search(r'"CacheClusterId", .*"-00[12]"', node) for node in nodes), "a group has no metrics"


def test_a_service_of_aws_acts_for_this_account_alone(stacks: Stacks) -> None:
    [topic] = [p["PolicyDocument"]["Statement"] for p in stacks.of("SNS::TopicPolicy")]
    [publish] = [s for s in topic if s["Effect"] == "Allow"]
    assert publish["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    statements = stacks.one("KMS::Key")["KeyPolicy"]["Statement"]
    logs = [s for s in statements if "logs." in str(s["Principal"].get("Service", ""))]
    assert [list(s["Condition"]["ArnLike"]) for s in logs] == [["kms:EncryptionContext:aws:logs:arn"]]


def test_whatever_costs_is_tagged(stacks: Stacks) -> None:
    for kind in ("ECS::Service", "ElastiCache::ReplicationGroup", "ElasticLoadBalancingV2::LoadBalancer"):
        assert all({"Key": "flair", "Value": stacks.environment} in found["Tags"] for found in stacks.of(kind))


def test_images_are_scanned_and_never_replaced_and_logs_end(stacks: Stacks) -> None:
    images = stacks.one("ECR::Repository")
    assert images["ImageTagMutability"] == "IMMUTABLE"
    assert images["ImageScanningConfiguration"] == {"ScanOnPush": True}
    assert all(group["RetentionInDays"] == 365 for group in stacks.of("Logs::LogGroup"))
    assert all('{"Ref": "ImageTag"}' in json.dumps(stacks.container(name)["Image"]) for name in NODES)


def test_the_workflow_deploys_what_there_is(templates: Path) -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/deploy.yml").read_text(encoding="utf-8"))
    environ, prod = workflow["env"], Stacks(templates, "prod")
    path = prod.paths[1]
    service = json.loads(path.read_text(encoding="utf-8"))
    assert (f"{environ['STACK']}.template.json", Path(environ["TEMPLATE"]).name) == (path.name, path.name)
    assert re.fullmatch(service["Parameters"]["ImageTag"]["AllowedPattern"], "0" * 64), "a digest is the tag"
    assert environ["REGISTRY"] == prod.one("ECR::Repository")["RepositoryName"]
    said = json.dumps(workflow["jobs"]["ecs"])
    assert f"--cluster {prod.one('ECS::Cluster')['ClusterName']} --services {' '.join(NODES)}" in said
    assert not [r for r in service["Resources"].values() if "IAM" in r["Type"]], "it asks for no capability"


def test_cfn_lint_finds_nothing(templates: Path) -> None:
    found = sorted(path.name for path in templates.glob("*.template.json"))
    assert len(found) == 4
    done = tool("cfn-lint", *found, folder=templates)
    assert (done.returncode, done.stdout) == (0, "")


def test_checkov_finds_nothing_that_is_not_explained(templates: Path) -> None:
    words = ("--framework", "cloudformation", "--output", "json", "--skip-download", "--directory", ".")
    done = tool("checkov", *words, folder=templates)
    report = json.loads(done.stdout)
    assert (done.returncode, report["summary"]["failed"], report["summary"]["parsing_errors"]) == (0, 0, 0)
    assert report["summary"]["passed"] > 200
    skipped = report["results"]["skipped_checks"]
    assert skipped
    assert all(len(check["check_result"]["suppress_comment"]) > 20 for check in skipped)
