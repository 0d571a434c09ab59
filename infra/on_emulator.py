"""Runs Terraform against an emulator of AWS (moto) on this machine: no account, no credentials, no cost.

    python infra/on_emulator.py          apply everything that moto supports, inspect it with boto3, plan again, destroy

A second plan must change nothing, except what moto returns differently (see `second_plan`). Left out: the lifecycle
rules (the provider waits a minute for each) and the budget (moto lacks a call for it). Terraform's AWS provider comes
from a local folder (GRAFT_TERRAFORM_PROVIDERS or the usual places), otherwise from the network.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INFRA = Path(__file__).parent
PROVIDER = "registry.terraform.io/hashicorp/aws"
PROVIDER_FOLDERS = [
    Path.home() / ".terraform.d/plugins",
    Path("/usr/local/share/terraform/plugins"),
    Path("/usr/share/terraform/plugins"),
    Path("/opt/tf-plugins"),
]
SLOW_OR_MISSING = ["aws_s3_bucket_lifecycle_configuration", "aws_budgets_budget"]
REGION = "us-east-1"
IMAGE = "ami-12c6146b"              # an image that moto has: it has neither of the real ones


def providers() -> Path | None:
    """The first folder that contains the AWS provider."""
    named = os.environ.get("GRAFT_TERRAFORM_PROVIDERS")
    folders = [Path(named)] if named else PROVIDER_FOLDERS
    return next((folder for folder in folders if (folder / PROVIDER).is_dir()), None)


class Terraform:
    """Terraform on a copy of the configuration in `folder`, so it cannot touch the real state."""

    def __init__(self, folder: Path):
        self.folder = folder / "terraform"
        shutil.copytree(INFRA, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "TF_"))},
            "AWS_EC2_METADATA_DISABLED": "true", "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1",
        }
        if mirror := providers():
            settings = folder / "terraformrc"
            settings.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n')
            self.environment["TF_CLI_CONFIG_FILE"] = str(settings)

    def __call__(self, *arguments: str, **run) -> subprocess.CompletedProcess:
        command = ["terraform", f"-chdir={self.folder}", *arguments]
        return subprocess.run(command, env=self.environment, text=True, **run)

    def check(self, *arguments: str) -> str:
        """The output of a command. Raises `RuntimeError` with the output if it fails."""
        done = self(*arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise RuntimeError(f"terraform {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}")
        return done.stdout

    def leave_out(self, types: list[str]) -> None:
        """Remove the resources of these types from the copied configuration."""
        for path in self.folder.glob("*.tf"):
            kept, inside = [], False
            for line in path.read_text().splitlines(keepends=True):
                inside = inside or any(line.startswith(f'resource "{kind}"') for kind in types)
                if not inside:
                    kept.append(line)
                inside = inside and line.rstrip() != "}"
            path.write_text("".join(kept))


@contextmanager
def emulator() -> Iterator[str]:
    """Start an empty moto server. Yields its address."""
    from moto.core.config import default_user_config
    from moto.server import ThreadedMotoServer

    default_user_config["iam"]["load_aws_managed_policies"] = True
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line per request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def variables(address: str) -> list[str]:
    values = {
        "alert_email": "ops@example.org", "endpoint": address, "github_repository": "example/graft",
        "image_tag": "test", "prefect_password": "0123456789abcdef",
        "gpu_image_id": IMAGE, "server_image_id": IMAGE,
    }
    return [f"-var={name}={value}" for name, value in values.items()]


def look(address: str, outputs: dict) -> list[str]:
    """Inspect the emulated account. Returns what is wrong with it."""
    import boto3

    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
    s3, scaling, ec2 = (session.client(name, endpoint_url=address) for name in ("s3", "autoscaling", "ec2"))
    wrong = []
    buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    for bucket in buckets:
        if s3.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
            wrong.append(f"{bucket}: no versioning")
        block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        wrong += [f"{bucket}: {name} is off" for name, on in block.items() if not on]
    groups = scaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    if sorted(group["AutoScalingGroupName"] for group in groups) != sorted(outputs["gpu_groups"]["value"].values()):
        wrong.append(f"auto scaling groups: {groups}")
    wrong += [f"{group['AutoScalingGroupName']}: has hosts" for group in groups if group["DesiredCapacity"]]
    hosts = [host for reservation in ec2.describe_instances()["Reservations"] for host in reservation["Instances"]]
    if len(buckets) != 2 or len(hosts) != 1:
        wrong.append(f"expected 2 buckets and 1 host, the server: {buckets}, {hosts}")
    return wrong


def second_plan(terraform: Terraform, options: list[str]) -> list[str]:
    """Resources that a second plan would change, except those that differ because of moto."""
    terraform.check("plan", "-out=second", *options)
    changes = json.loads(terraform.check("show", "-json", "second"))["resource_changes"]
    # moto returns a launch template's own tags as those of its instances; the groups depend on the template's version
    known = ("aws_launch_template.gpu", "aws_autoscaling_group.gpu[", "aws_instance.server")
    changed = [change["address"] for change in changes if change["change"]["actions"] != ["no-op"]]
    return [address for address in changed if not address.startswith(known)]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, emulator() as address:
        terraform = Terraform(Path(folder))
        terraform.leave_out(SLOW_OR_MISSING)
        terraform.check("init", "-input=false")
        options = ["-input=false", "-no-color", *variables(address)]
        if terraform("apply", "-auto-approve", *options).returncode:
            wrong = ["apply failed"]
        else:
            wrong = look(address, json.loads(terraform.check("output", "-json")))
            wrong += [f"a second plan wants to change {address}" for address in second_plan(terraform, options)]
        if terraform("destroy", "-auto-approve", *options).returncode:
            wrong.append("destroy failed")
    print("\n".join(wrong) or "apply, inspection, second plan without a change, destroy: all correct")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
