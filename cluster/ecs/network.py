"""Two zones, three kinds of subnet, three security groups: who may reach whom is all here.

internet ──443──▶ balancer ──8000──▶ ray ◀──all──▶ ray ──6379──▶ stores
                                      └──443──▶ providers, AWS
"""

from __future__ import annotations

from aws_cdk import RemovalPolicy, aws_logs
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from constructs import Construct
from sizes import Size

HTTP_PORT, REDIS_PORT = 8000, 6379


class Network(Construct):
    """The VPC and its groups."""

    def __init__(self, scope: Construct, size: Size, key: kms.IKey) -> None:
        super().__init__(scope, "network")
        self.vpc = ec2.Vpc(
            self,
            "vpc",
            max_azs=2,
            nat_gateways=size.nat_gateways,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=24, map_public_ip_on_launch=False
                ),
                ec2.SubnetConfiguration(name="ray", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS, cidr_mask=20),
                ec2.SubnetConfiguration(name="stores", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24),
            ],
            gateway_endpoints={
                "s3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
                "dynamodb": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB),
            },
        )
        flows = aws_logs.LogGroup(
            self,
            "flows",
            encryption_key=key,
            retention=aws_logs.RetentionDays.ONE_YEAR,
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.vpc.add_flow_log(
            "rejected",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(flows),
            traffic_type=ec2.FlowLogTrafficType.REJECT,
        )
        self.balancer = self._group("balancer", "Takes HTTPS from anywhere")
        self.ray = self._group("ray", "The nodes of the Ray cluster")
        self.stores = self._group("stores", "Valkey")
        self.balancer.add_ingress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "HTTPS")
        self.balancer.connections.allow_to(self.ray, ec2.Port.tcp(HTTP_PORT), "To Serve")
        self.ray.connections.allow_internally(ec2.Port.all_tcp(), "Ray's nodes talk on any port")
        self.ray.connections.allow_to(self.stores, ec2.Port.tcp(REDIS_PORT), "To Valkey")
        self.ray.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "To providers and AWS")

    def _group(self, name: str, description: str) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(self, name, vpc=self.vpc, description=description, allow_all_outbound=False)
