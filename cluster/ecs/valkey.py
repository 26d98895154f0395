"""A Valkey with TLS, a user of its own, a replica in the other zone, failover and snapshots.

Access is by a user and not by the group's one token: a user may have two passwords for a while, so that a password is
changed without a pause, and reaches no keys but its own.
"""

from __future__ import annotations

from aws_cdk import CfnTag, Duration, RemovalPolicy
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secrets
from constructs import Construct
from network import Network
from sizes import Size

ENGINE, VERSION, FAMILY = "valkey", "8.1", "valkey8"
RIGHTS = "+@all -@admin -@dangerous +info"
NODES = 2
KEYS = {"flair": "~flair:* &flair:*", "ray": "~RAY* ~DUMMY"}
"""Whose keys begin with what. Ray deletes a key DUMMY to see whether this is the primary."""


class Valkey(Construct):
    """One replication group; ``who`` is its only user."""

    def __init__(self, scope: Construct, who: str, *, name: str, size: Size, network: Network, key: kms.IKey) -> None:
        super().__init__(scope, f"valkey-{who}")
        policy = RemovalPolicy.RETAIN if size.protected else RemovalPolicy.DESTROY
        # Not rotated by a Lambda: who uses a password is restarted with the new one, see docs/how-to/ecs.md.
        self.secret = secrets.Secret(
            self,
            "password",
            secret_name=f"{name}/valkey-{who}",
            encryption_key=key,
            generate_secret_string=secrets.SecretStringGenerator(exclude_punctuation=True, password_length=48),
            removal_policy=policy,
        )
        user = elasticache.CfnUser(
            self,
            "user",
            engine=ENGINE,
            user_id=f"{name}-{who}",
            user_name=who,
            access_string=f"on {KEYS[who]} {RIGHTS}",
            authentication_mode={"Type": "password", "Passwords": [self.secret.secret_value.unsafe_unwrap()]},
        )
        users = elasticache.CfnUserGroup(
            self, "users", engine=ENGINE, user_group_id=f"{name}-{who}", user_ids=[user.ref]
        )
        subnets = elasticache.CfnSubnetGroup(
            self,
            "subnets",
            description="Subnets without a way out",
            subnet_ids=network.vpc.select_subnets(subnet_group_name="stores").subnet_ids,
        )
        never = elasticache.CfnParameterGroup(
            self,
            "parameters",
            cache_parameter_group_family=FAMILY,
            description="What is in here must not be evicted",
            properties={"maxmemory-policy": "noeviction"},
        )
        group = elasticache.CfnReplicationGroup(
            self,
            "group",
            replication_group_description=f"{name}, {who}",
            engine=ENGINE,
            engine_version=VERSION,
            cache_node_type=size.redis_node,
            num_cache_clusters=NODES,
            automatic_failover_enabled=True,
            multi_az_enabled=True,
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            at_rest_encryption_enabled=True,
            kms_key_id=key.key_arn,
            user_group_ids=[users.ref],
            cache_subnet_group_name=subnets.ref,
            cache_parameter_group_name=never.ref,
            security_group_ids=[network.stores.security_group_id],
            snapshot_retention_limit=7,
            auto_minor_version_upgrade=True,
            tags=[CfnTag(key="flair", value=who)],
        )
        group.apply_removal_policy(RemovalPolicy.SNAPSHOT if size.protected else RemovalPolicy.DESTROY)
        self.host = group.attr_primary_end_point_address
        self._group_id = group.ref

    def worst(self, metric: str) -> cloudwatch.MathExpression:
        """The highest of a metric that each node has: CloudWatch knows nodes and no groups."""
        minute = Duration.minutes(1)
        of_nodes = {
            f"node{n}": cloudwatch.Metric(
                namespace="AWS/ElastiCache",
                metric_name=metric,
                dimensions_map={"CacheClusterId": f"{self._group_id}-{n:03}"},
                statistic="Maximum",
                period=minute,
            )
            for n in range(1, NODES + 1)
        }
        return cloudwatch.MathExpression(
            expression=f"MAX([{','.join(of_nodes)}])", using_metrics=of_nodes, period=minute, label=metric
        )
