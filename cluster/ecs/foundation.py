"""What is there before the first image is: network, stores, registry, secrets. Changed seldom, and kept."""

from __future__ import annotations

import json

from aws_cdk import Duration, RemovalPolicy, Stack, aws_ecr, aws_logs, aws_sns
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secrets
from constructs import Construct
from exceptions import accept
from network import Network
from roles import PREFIX, Roles
from sizes import PROVIDER_KEYS, Size
from valkey import Valkey

INDEX, EXPIRY = "session-at", "expires_at"
"""As flair_ray/stores/dynamodb.py has them; a test compares."""
IMAGES = 50


class Foundation(Stack):
    """One environment's."""

    def __init__(self, scope: Construct, name: str, size: Size, **stack: object) -> None:
        super().__init__(scope, f"{name}-foundation", **stack)
        self.size = size
        self.policy = RemovalPolicy.RETAIN if size.protected else RemovalPolicy.DESTROY
        self.key = self._key(name)
        self.network = Network(self, size, self.key)
        self.studio = Valkey(self, "flair", name=name, size=size, network=self.network, key=self.key)
        self.ray = Valkey(self, "ray", name=name, size=size, network=self.network, key=self.key)
        self.logs = aws_logs.LogGroup(
            self,
            "output",
            encryption_key=self.key,
            retention=aws_logs.RetentionDays.ONE_YEAR,
            removal_policy=self.policy,
        )
        self.asked = self._asked()
        self.files = self._files()
        self.table = self._table(name)
        self.roles = Roles(self, name, files=self.files, table=self.table, key=self.key)
        self.images = aws_ecr.Repository(
            self,
            "images",
            repository_name=name,
            image_tag_mutability=aws_ecr.TagMutability.IMMUTABLE,
            image_scan_on_push=True,
            encryption=aws_ecr.RepositoryEncryption.KMS,
            encryption_key=self.key,
            lifecycle_rules=[aws_ecr.LifecycleRule(max_image_count=IMAGES)],
            removal_policy=self.policy,
        )
        self.secret = self._secret(name)
        self.alarms = aws_sns.Topic(self, "alarms", master_key=self.key, enforce_ssl=True)
        # The service is the same for all accounts: its alarms of others are not ours.
        ours = {"StringEquals": {"aws:SourceAccount": self.account}}
        self.alarms.grant_publish(iam.ServicePrincipal("cloudwatch.amazonaws.com", conditions=ours))

    def _key(self, name: str) -> kms.Key:
        key = kms.Key(
            self,
            "key",
            description=f"Everything that {name} keeps",
            enable_key_rotation=True,
            removal_policy=self.policy,
        )
        key.add_alias(f"alias/{name}")
        ours = f"arn:{self.partition}:logs:{self.region}:{self.account}:log-group:*"
        groups = {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": ours}}
        for principal in (
            iam.ServicePrincipal(f"logs.{self.region}.amazonaws.com", conditions=groups),
            iam.ServicePrincipal("cloudwatch.amazonaws.com"),
        ):
            key.grant(principal, "kms:DescribeKey")
            key.grant_encrypt_decrypt(principal)
        return key

    def _asked(self) -> s3.Bucket:
        """Who asked for what files."""
        bucket = s3.Bucket(
            self,
            "asked",
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            versioned=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=[
                s3.LifecycleRule(expiration=Duration.days(90), noncurrent_version_expiration=Duration.days(7))
            ],
            removal_policy=self.policy,
        )
        accept(bucket, checkov={"CKV_AWS_18": "This is where access is logged: a log of its own would log itself."})
        return bucket

    def _files(self) -> s3.Bucket:
        days = Duration.days(self.size.keep_days)
        return s3.Bucket(
            self,
            "files",
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            versioned=True,
            server_access_logs_bucket=self.asked,
            server_access_logs_prefix="files/",
            lifecycle_rules=[
                s3.LifecycleRule(
                    prefix=PREFIX,
                    expiration=days,
                    noncurrent_version_expiration=Duration.days(30),
                    abort_incomplete_multipart_upload_after=Duration.days(1),
                )
            ],
            removal_policy=self.policy,
        )

    def _table(self, name: str) -> dynamodb.Table:
        def text(attribute: str) -> dynamodb.Attribute:
            return dynamodb.Attribute(name=attribute, type=dynamodb.AttributeType.STRING)

        table = dynamodb.Table(
            self,
            "records",
            table_name=name,
            partition_key=text("pk"),
            sort_key=text("sk"),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            time_to_live_attribute=EXPIRY,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=self.key,
            deletion_protection=self.size.protected,
            removal_policy=self.policy,
        )
        table.add_global_secondary_index(
            index_name=INDEX,
            partition_key=text("session"),
            sort_key=text("at"),
            projection_type=dynamodb.ProjectionType.ALL,
        )
        return table

    def _secret(self, name: str) -> secrets.Secret:
        """Filled in by people: the keys of providers, and who may use the API. Ray's own token is made here."""
        return secrets.Secret(
            self,
            "keys",
            secret_name=f"{name}/keys",
            encryption_key=self.key,
            generate_secret_string=secrets.SecretStringGenerator(
                secret_string_template=json.dumps(dict.fromkeys(("FLAIR_API_TOKENS", *PROVIDER_KEYS), "")),
                generate_string_key="RAY_AUTH_TOKEN",
                exclude_punctuation=True,
                password_length=64,
            ),
            removal_policy=self.policy,
        )
