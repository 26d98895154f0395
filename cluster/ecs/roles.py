"""Who may do what: the nodes at work, and Fargate when it starts them."""

from __future__ import annotations

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

PREFIX = "runs/"
"""As flair_ray/config.py has it; a test compares."""
FILE_ACTIONS = ("GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload")
RECORD_ACTIONS = ("PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "DescribeTable")
"""As docs/how-to/keep-for-good.md lists them."""


class Roles(Construct):
    """``task`` is every node's; ``execution`` gets images, secrets and logs, granted where they are used."""

    def __init__(
        self, scope: Construct, name: str, *, files: s3.IBucket, table: dynamodb.ITable, key: kms.IKey
    ) -> None:
        super().__init__(scope, "roles")
        tasks = iam.ServicePrincipal("ecs-tasks.amazonaws.com")
        self.execution = iam.Role(self, "execution", assumed_by=tasks)
        self.task = iam.Role(self, "task", assumed_by=tasks)
        self._allow(["s3:ListBucket"], files.bucket_arn)
        self._allow([f"s3:{action}" for action in FILE_ACTIONS], f"{files.bucket_arn}/{PREFIX}*")
        self._allow([f"dynamodb:{action}" for action in RECORD_ACTIONS], table.table_arn, f"{table.table_arn}/index/*")
        # CloudWatch knows no resources here; the condition is what narrows it.
        self._allow(["cloudwatch:PutMetricData"], "*", conditions={"StringEquals": {"cloudwatch:namespace": name}})
        key.grant_encrypt_decrypt(self.task)

    def _allow(self, actions: list[str], *resources: str, conditions: dict[str, object] | None = None) -> None:
        self.task.add_to_policy(iam.PolicyStatement(actions=actions, resources=list(resources), conditions=conditions))
