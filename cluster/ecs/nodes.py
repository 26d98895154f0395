"""The three kinds of Ray node as Fargate services. They differ in what they offer Ray, and in nothing else.

    head     Ray's state, Serve's controller, the dashboard; no work. Never two at once.
    front    the HTTP replicas, one a node: Serve answers only where a replica is, so that a load balancer in front of
             workers would find most of them unhealthy, and end them.
    worker   the work. As many as waits for.

Actors that need no CPU (run hosts, the limiter) go wherever Ray puts them, so all nodes have the same rights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_servicediscovery as discovery
from constructs import Construct
from exceptions import accept
from foundation import Foundation
from network import HTTP_PORT
from roles import PREFIX
from sizes import PROVIDER_KEYS, Task

HEAD, FRONT, WORKER = "head", "front", "worker"
DRAIN_S, STOP_S = 100, 120
"""A node that is told to stop lets its shards and streams end. Fargate waits for two minutes at most."""
WAITS_FOR_HEAD_S = 600
"""How long a node outlives the head; another one is there in two minutes."""
SHM, TMP = "/dev/shm", "/tmp"  # noqa: S108
SHM_MIB, PLASMA_MIB, TMP_MIB = 512, 400, 1024
CA_FILE = "/etc/ssl/certs/ca-certificates.crt"

# Under one namespace Ray's state outlives the head, and with it what was set up by an image and its settings, passwords
# too. So each image and each set of settings begins with a state of its own, on a port of its own, where nodes of the
# old one do not bother its head until they are replaced. Runs are not in it.
BEGIN = """\
export FLAIR_REDIS_URL="rediss://flair:$FLAIR_REDIS_PASSWORD@$FLAIR_REDIS_HOST:6379/0"
state=$(env | grep -E '^(FLAIR_|RAY_AUTH_)|_API_KEY=' | sort | sha256sum | cut -c1-16)
port=$((11000 + 0x$(printf %.3s $state)))
"""
RUN_HEAD = """\
echo $port > ~/port
export RAY_external_storage_namespace=$state
export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0
ray start --head --block --port $port --num-cpus 0 --dashboard-host 0.0.0.0 --dashboard-port 8265 \
--redis-username ray --redis-password "$RAY_REDIS_PASSWORD" COMMON &
trap "kill -TERM $!" TERM
printf %s "$SERVE_CONFIG" > ~/serve.yaml
until serve deploy ~/serve.yaml; do kill -0 $! || exit 1; sleep 5; done
wait $!; wait $!
"""
RUN_NODE = "exec ray start --block --address HEAD:$port OFFER COMMON\n"
COMMON = f"--disable-usage-stats --object-store-memory {PLASMA_MIB * 1024**2} --node-manager-port 20001 \
--object-manager-port 20002 --min-worker-port 21000 --max-worker-port 29999"


def serve_config(fronts: int) -> dict[str, Any]:
    """cluster/serve.yaml with one replica on each front node and nowhere else."""
    config: dict[str, Any] = yaml.safe_load((Path(__file__).parent.parent / "serve.yaml").read_text(encoding="utf-8"))
    [app] = config["applications"]
    app["args"] = {"replicas": fronts}
    app["deployments"] = [
        {
            "name": "api",
            "ray_actor_options": {"num_cpus": 0, "resources": {"front": 1}},
            "autoscaling_config": {"min_replicas": fronts, "max_replicas": fronts},
        }
    ]
    return config


class Nodes(Construct):
    """The cluster of nodes; the services are ``head``, ``front`` and ``worker``."""

    def __init__(self, scope: Construct, name: str, base: Foundation, image_tag: str) -> None:
        super().__init__(scope, "nodes")
        self._name, self._base, self._image_tag = name, base, image_tag
        size = base.size
        self.cluster = ecs.Cluster(
            self,
            "cluster",
            cluster_name=name,
            vpc=base.network.vpc,
            container_insights_v2=ecs.ContainerInsights.ENABLED,
        )
        self.cluster.add_default_cloud_map_namespace(name=f"{name}.internal", type=discovery.NamespaceType.DNS_PRIVATE)
        self.head = self._service(HEAD, size.head, 1, RUN_HEAD)
        self.head.enable_cloud_map(name=HEAD, dns_ttl=Duration.seconds(10))
        replica = "--num-cpus 0 --resources '{\"front\": 1}'"
        self.front = self._service(FRONT, size.front, size.fronts, RUN_NODE.replace("OFFER", replica))
        # cfn-lint: CDK says that the targets come first, and so does the reference to them. Harmless.
        accept(self.front, cfn_lint=["W3005"])
        # Without a count, so that a deployment leaves what the autoscaling has found.
        cores = f"--num-cpus {max(1, size.worker.cpu // 1024)}"
        self.worker = self._service(WORKER, size.worker, None, RUN_NODE.replace("OFFER", cores))
        for service in (self.front, self.worker):
            service.node.add_dependency(self.head)

    def _service(self, kind: str, task: Task, count: int | None, command: str) -> ecs.FargateService:
        least, most = self._rolling(kind, count)
        return ecs.FargateService(
            self,
            kind,
            service_name=kind,
            cluster=self.cluster,
            task_definition=self._task(kind, task, command),
            desired_count=count,
            min_healthy_percent=least,
            max_healthy_percent=most,
            health_check_grace_period=Duration.seconds(180) if kind == FRONT else None,
            circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
            security_groups=[self._base.network.ray],
            vpc_subnets={"subnet_group_name": "ray"},
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
        )

    def _rolling(self, kind: str, count: int | None) -> tuple[int, int]:
        """How many percent there are at least and at most while tasks are replaced.

        There is one head. A front node is healthy with a replica only, and there is none to spare: the old one goes
        first, one after the other.
        """
        if kind == WORKER:
            return 100, 200
        return (50 if kind == FRONT and count != 1 else 0), 100

    def _task(self, kind: str, task: Task, command: str) -> ecs.FargateTaskDefinition:
        roles = self._base.roles
        made = ecs.FargateTaskDefinition(
            self,
            f"{kind}-task",
            cpu=task.cpu,
            memory_limit_mib=task.memory,
            task_role=roles.task,
            execution_role=roles.execution,
        )
        linux = ecs.LinuxParameters(self, f"{kind}-linux", init_process_enabled=True)
        linux.drop_capabilities(ecs.Capability.ALL)
        # Ray's objects, and everything else that it and HAProxy write: nothing else of the container can be written to.
        linux.add_tmpfs(ecs.Tmpfs(container_path=SHM, size=SHM_MIB))
        linux.add_tmpfs(ecs.Tmpfs(container_path=TMP, size=TMP_MIB))
        check = ecs.HealthCheck(
            command=["CMD-SHELL", "ray health-check --address 127.0.0.1:$(cat ~/port)"],
            interval=Duration.seconds(30),
            timeout=Duration.seconds(20),
            start_period=Duration.seconds(120),
        )
        container = made.add_container(
            kind,
            image=ecs.ContainerImage.from_ecr_repository(self._base.images, self._image_tag),
            entry_point=["/bin/bash", "-c"],
            command=[BEGIN + command.replace("COMMON", COMMON).replace("HEAD", f"{HEAD}.{self._name}.internal")],
            environment=self._environment() | self._of_head(kind),
            secrets=self._secrets(kind),
            logging=ecs.LogDriver.aws_logs(
                stream_prefix=kind, log_group=self._base.logs, mode=ecs.AwsLogDriverMode.NON_BLOCKING
            ),
            linux_parameters=linux,
            readonly_root_filesystem=True,
            stop_timeout=Duration.seconds(STOP_S),
            health_check=check if kind == HEAD else None,
        )
        if kind == FRONT:
            container.add_port_mappings(ecs.PortMapping(container_port=HTTP_PORT))
        return made

    def _environment(self) -> dict[str, str]:
        base = self._base
        return {
            "HOME": TMP,
            "AWS_DEFAULT_REGION": base.region,
            "FLAIR_DATA_DIR": f"{TMP}/flair",
            "FLAIR_REDIS_HOST": base.studio.host,
            "FLAIR_S3_BUCKET": base.files.bucket_name,
            "FLAIR_S3_PREFIX": PREFIX,
            "FLAIR_DYNAMODB_TABLE": base.table.table_name,
            "FLAIR_KEEP_DAYS": str(base.size.keep_days),
            "FLAIR_CLOUDWATCH_NAMESPACE": self._name,
            "FLAIR_LOG_FORMAT": "json",
            "FLAIR_LOG_LEVEL": "INFO",
            "FLAIR_IMAGE": self._image_tag,
            "RAY_AUTH_MODE": "token",
            "RAY_LOG_TO_STDERR": "1",
            "RAY_BACKEND_LOG_LEVEL": "warning",
            "AUTOSCALER_UPDATE_INTERVAL_S": "60",  # there is none, but its monitor logs what it finds
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_LOG_ENCODING": "JSON",
            "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": str(DRAIN_S),
            "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": str(DRAIN_S),
            "RAY_gcs_rpc_server_reconnect_timeout_s": str(WAITS_FOR_HEAD_S),
        }

    def _of_head(self, kind: str) -> dict[str, str]:
        if kind != HEAD:
            return {}
        return {
            "RAY_REDIS_ADDRESS": f"rediss://{self._base.ray.host}:6379",
            "RAY_REDIS_CA_CERT": CA_FILE,
            "SERVE_CONFIG": json.dumps(serve_config(self._base.size.fronts)),
        }

    def _secrets(self, kind: str) -> dict[str, ecs.Secret]:
        base = self._base
        names = ("RAY_AUTH_TOKEN", "FLAIR_API_TOKENS", *PROVIDER_KEYS)
        found = {name: ecs.Secret.from_secrets_manager(base.secret, name) for name in names}
        found["FLAIR_REDIS_PASSWORD"] = ecs.Secret.from_secrets_manager(base.studio.secret)
        if kind == HEAD:
            found["RAY_REDIS_PASSWORD"] = ecs.Secret.from_secrets_manager(base.ray.secret)
        return found
