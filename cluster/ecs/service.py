"""What runs an image: the nodes, the way to them, how many there are, and who is told when something is wrong."""

from __future__ import annotations

from aws_cdk import CfnOutput, CfnParameter, Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_elasticloadbalancingv2 as elb
from constructs import Construct
from exceptions import accept
from foundation import Foundation
from network import HTTP_PORT
from nodes import Nodes
from sizes import WAITING_PER_WORKER

MINUTE = Duration.minutes(1)
BACKLOG, WORKERS = "BacklogPerWorker", "Workers"
"""As flair_ray/telemetry/metrics.py has them; a test compares."""
LONGEST_SILENCE_S = 120
"""Of a stream: a heartbeat comes every 25 s."""


class Service(Stack):
    """One environment's."""

    def __init__(self, scope: Construct, name: str, base: Foundation, **stack: object) -> None:
        super().__init__(scope, f"{name}-service", **stack)
        self._name, self._base = name, base
        tag = CfnParameter(self, "ImageTag", description="The image to run", allowed_pattern="[A-Za-z0-9._-]+")
        self._nodes = Nodes(self, name, base, tag.value_as_string)
        self._balancer()
        self._scaling()
        self._alarms()

    def _balancer(self) -> None:
        certificate = CfnParameter(self, "Certificate", description="The ACM certificate's ARN")
        balancer = elb.ApplicationLoadBalancer(
            self,
            "balancer",
            vpc=self._base.network.vpc,
            internet_facing=True,
            security_group=self._base.network.balancer,
            vpc_subnets={"subnet_group_name": "public"},
            idle_timeout=Duration.seconds(LONGEST_SILENCE_S),
            deletion_protection=self._base.size.protected,
            drop_invalid_header_fields=True,
        )
        tickets = "It logs whole addresses, and so tickets. The replicas note each request by its route and id."
        accept(balancer, checkov={"CKV_AWS_91": tickets})
        listener = balancer.add_listener(
            "https",
            port=443,
            open=False,  # the security group says who may
            ssl_policy=elb.SslPolicy.TLS13_RES,
            certificates=[elb.ListenerCertificate.from_arn(certificate.value_as_string)],
        )
        self._targets = listener.add_targets(
            "front",
            port=HTTP_PORT,
            protocol=elb.ApplicationProtocol.HTTP,
            targets=[self._nodes.front],
            deregistration_delay=Duration.seconds(60),
            health_check=elb.HealthCheck(path="/-/healthz", interval=Duration.seconds(10), timeout=Duration.seconds(5)),
        )
        CfnOutput(self, "Address", value=balancer.load_balancer_dns_name)

    def _scaling(self) -> None:
        """By what waits for a worker. Nothing is published while calls wait for the provider's permits, so that nothing
        changes: more workers would help nothing, and fewer would be missed in a moment."""
        size = self._base.size
        workers = self._nodes.worker.auto_scale_task_count(
            min_capacity=size.least_workers, max_capacity=size.most_workers
        )
        workers.scale_to_track_custom_metric(
            "backlog",
            metric=self._metric(BACKLOG),
            target_value=WAITING_PER_WORKER,
            scale_out_cooldown=Duration.minutes(2),
            scale_in_cooldown=Duration.minutes(10),
        )

    def _metric(self, metric: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(namespace=self._name, metric_name=metric, statistic="Average", period=MINUTE)

    def _alarms(self) -> None:
        breach, quiet = cloudwatch.TreatMissingData.BREACHING, cloudwatch.TreatMissingData.NOT_BREACHING
        over, under = (
            cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
        )
        watched = {
            "Nobody publishes the backlog: no run host works": (self._metric(WORKERS), under, 1, breach),
            "No front node is healthy": (self._targets.metrics.healthy_host_count(period=MINUTE), under, 1, breach),
            "More than 20 requests a minute fail": (
                self._targets.metrics.http_code_target(elb.HttpCodeTarget.TARGET_5XX_COUNT, period=MINUTE),
                over,
                20,
                quiet,
            ),
            "DynamoDB throttles": (
                self._base.table.metric_throttled_requests_for_operations(
                    period=MINUTE,
                    operations=[
                        dynamodb.Operation.PUT_ITEM,
                        dynamodb.Operation.UPDATE_ITEM,
                        dynamodb.Operation.QUERY,
                        dynamodb.Operation.SCAN,
                    ],
                ),
                over,
                10,
                quiet,
            ),
        }
        for service in (self._nodes.head, self._nodes.front, self._nodes.worker):
            memory = service.metric_memory_utilization(period=MINUTE)
            watched[f"Nodes of the service {service.node.id} are short of memory"] = (memory, over, 85, breach)
        for whose, store in (("studio's", self._base.studio), ("Ray's", self._base.ray)):
            full, busy = store.worst("DatabaseMemoryUsagePercentage"), store.worst("EngineCPUUtilization")
            watched[f"The {whose} Valkey fills up: it evicts nothing"] = (full, over, 75, breach)
            watched[f"The {whose} Valkey has one thread, and it is busy"] = (busy, over, 80, breach)
        for number, (text, (metric, operator, threshold, missing)) in enumerate(watched.items()):
            alarm = cloudwatch.Alarm(
                self,
                f"alarm{number}",
                alarm_description=f"{self._name}: {text}",
                metric=metric,
                comparison_operator=operator,
                threshold=threshold,
                evaluation_periods=5,
                treat_missing_data=missing,
            )
            alarm.add_alarm_action(actions.SnsAction(self._base.alarms))
