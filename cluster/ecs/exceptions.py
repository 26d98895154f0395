"""A finding of cfn-lint or checkov that is accepted is written at its resource, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import CfnResource
from constructs import Construct


def accept(what: Construct, *, checkov: Mapping[str, str] | None = None, cfn_lint: Sequence[str] = ()) -> None:
    """``checkov`` has a reason for each check; for cfn-lint's, which have no place for one, a comment says it."""
    resource = what.node.default_child
    if not isinstance(resource, CfnResource):
        raise TypeError(f"{what.node.path} is not one resource.")
    if checkov:
        resource.add_metadata("checkov", {"skip": [{"id": i, "comment": why} for i, why in checkov.items()]})
    if cfn_lint:
        resource.add_metadata("cfn-lint", {"config": {"ignore_checks": list(cfn_lint)}})
