"""Terraform's configuration and what its hosts start, each read by the program that will read it."""

import base64
import gzip
import json
import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import boto3
import pytest
import yaml
from tiny_bundle import make_bundle

from graft.registry import log, manifest
from graft.registry.lookup import MARKER
from infra import on_emulator

ROOT = Path(__file__).parent.parent
INFRA = ROOT / "infra"
ACCOUNT = "123456789012"
REGISTRY, DVC = f"graft-{ACCOUNT}-registry", f"graft-{ACCOUNT}-dvc"


# ---------------------------------------------------------------------------------------------------------- the guide


def test_every_file_that_the_guide_names_exists():
    text = (INFRA / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w/.$])[\w-][\w/.-]*\.(?:py|sh|tf|yaml|example|txt)\b|\b[\w-]+/(?=`)", text))
    named |= {module.replace(".", "/") + ".py" for module in re.findall(r"python -m ([\w.]+)", text)}
    named -= {"backend.tf", "checkpoints/"}         # a copy that the reader makes, a folder of the DVC remote
    folders = [ROOT, INFRA, INFRA / "host", INFRA / "terraform"]
    assert len(named) >= 25
    assert not [name for name in sorted(named) if not any((folder / name).exists() for folder in folders)]


# ---------------------------------------------------------------------------------------------------------- Terraform


@pytest.fixture(scope="module")
def terraform(tmp_path_factory):
    if not shutil.which("terraform"):
        pytest.skip("terraform is not installed")
    run = on_emulator.Terraform(tmp_path_factory.mktemp("infra"))
    if run("init", "-input=false", "-backend=false", capture_output=True).returncode:
        pytest.skip("Terraform's AWS provider 5.100.0 is neither in a folder (GRAFT_TERRAFORM_PROVIDERS) nor to be had")
    return run


@pytest.fixture(scope="module")
def tested(terraform):
    """What `terraform test` says: it validates the configuration and plans it with a mocked provider."""
    done = terraform("test", "-verbose", "-json", capture_output=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def planned(tested):
    """Address of each resource of the first run's plan -> its values."""
    plans = {line["@testrun"]: line["test_plan"] for line in tested if line["type"] == "test_plan"}
    return {change["address"]: change["change"]["after"] for change in plans["defaults"]["resource_changes"]}


def test_terraform_is_formatted():
    if not shutil.which("terraform"):
        pytest.skip("terraform is not installed")
    command = ["terraform", "fmt", "-check", "-diff", "-recursive", INFRA / "terraform"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_terraform_is_valid_and_its_own_tests_pass(tested):
    faults = [line["diagnostic"] for line in tested if line["type"] == "diagnostic" and line["@level"] == "error"]
    summary = tested[-1]["test_summary"]
    assert not faults
    assert summary == {"status": "pass", "passed": 3, "failed": 0, "errored": 0, "skipped": 0}


def test_each_skipped_security_check_says_why():
    lines = [line.strip() for path in (INFRA / "terraform").glob("*.tf") for line in path.read_text().splitlines()]
    skips = [line for line in lines if "checkov:skip" in line]
    assert skips and all(re.fullmatch(r"#checkov:skip=CKV2?_AWS_\d+:.{20,}", skip) for skip in skips)


# what each role may and may not do with the registry and with DVC's remote: read, write
VERSION = manifest.key_of("digits", 1)
BLOB = "blobs/sha256/ab/abcd"
SIGNATURE, ENTRY, ALIASES = manifest.signature_key("digits", 1), log.key_of("digits", 1), log.aliases_key("digits")
KEYS = [MARKER, BLOB, VERSION, SIGNATURE, ENTRY, ALIASES, "dvc"]
WRITES = {role: dict(zip(KEYS, may)) for role, may in {
    "trainer":  (True, True, True, True, False, False, True),
    "server":   (True, True, True, True, False, False, True),
    "promoter": (True, False, False, True, True, True, False),
    "reader":   (False, False, False, False, False, False, False),
}.items()}


def allowed(call, **arguments) -> bool:
    from botocore.exceptions import ClientError

    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] in ("AccessDenied", "403"), error
        return False
    return True


@pytest.fixture
def account():
    """An emulated account with the registry's and DVC's bucket and one blob."""
    from moto import mock_aws

    with mock_aws():
        s3 = boto3.client("s3", "us-east-1")
        for bucket in (REGISTRY, DVC):
            s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=REGISTRY, Key=f"registry/{BLOB}", Body=b"")
        yield boto3.client("iam", "us-east-1")


def with_policy(iam, role: str, policy: str):
    """S3 as somebody sees it who has this policy and no other."""
    iam.create_user(UserName=role)
    iam.put_user_policy(UserName=role, PolicyName="planned", PolicyDocument=policy)
    key = iam.create_access_key(UserName=role)["AccessKey"]
    secret = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    return boto3.client("s3", "us-east-1", **secret)


def test_each_role_can_do_its_work_and_no_more(planned, account):
    """The planned policies, judged by an emulator that from here on checks the caller's policy at every call."""
    from moto.core import set_initial_no_auth_action_count

    clients = {r: with_policy(account, r, planned[f'aws_iam_role_policy.this["{r}"]']["policy"]) for r in WRITES}
    @set_initial_no_auth_action_count(0)
    def judge(s3):
        places = {key: {"Bucket": REGISTRY, "Key": f"registry/{key}"} for key in KEYS}
        places["dvc"] = {"Bucket": DVC, "Key": "dvc/a"}
        writes = {key: allowed(s3.put_object, Body=b"", **place) for key, place in places.items()}
        return writes, allowed(s3.delete_object, **places[BLOB]), allowed(s3.get_object, **places[BLOB])

    assert {role: judge(s3) for role, s3 in clients.items()} == {role: (WRITES[role], False, True) for role in WRITES}


def test_what_the_trainer_publishes_waits_for_a_promoter(planned, account, tmp_path, monkeypatch, capsys):
    from moto.core import set_initial_no_auth_action_count

    from graft import registry
    from tasks.publish import promote

    def become(role: str) -> None:
        account.create_user(UserName=role)
        account.put_user_policy(UserName=role, PolicyName="planned",
                                PolicyDocument=planned[f'aws_iam_role_policy.this["{role}"]']["policy"])
        key = account.create_access_key(UserName=role)["AccessKey"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])

    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    address, gate = f"s3://{REGISTRY}/registry", {"reasons": ["the first model"], "champion_version": None}
    become("trainer")
    with_auth = set_initial_no_auth_action_count(0)
    published = with_auth(registry.publish)(make_bundle(tmp_path / "bundle"), "colours", address)
    with_auth(promote)(published, gate)
    assert "may not promote it" in capsys.readouterr().out
    assert registry.history("colours", address) == []
    become("promoter")
    with_auth(promote)(published, gate)
    assert [entry.version for entry in registry.history("colours", address)] == [1]


def test_s3_itself_keeps_what_the_registry_writes_once(planned):
    """Each key that the registry only creates is covered by the bucket's policy, and none that it also replaces."""
    statements = json.loads(planned['aws_s3_bucket_policy.this["registry"]']["policy"])["Statement"]
    covered = [arn.partition(":::")[2] for s in statements if s["Sid"] == "CreateOnly" for arn in s["Resource"]]
    kept = [key for key in KEYS if any(fnmatch(f"{REGISTRY}/registry/{key}", pattern) for pattern in covered)]
    assert kept == [key for key in KEYS if key not in (ALIASES, "dvc")]


def test_only_the_server_may_scale_and_only_the_gpu_groups(planned):
    def scaling(role):
        statements = json.loads(planned[f'aws_iam_role_policy.this["{role}"]']["policy"])["Statement"]
        return [s["Resource"] for s in statements if "autoscaling:SetDesiredCapacity" in s["Action"]]

    groups = {values["name"] for address, values in planned.items() if address.startswith("aws_autoscaling_group.gpu")}
    assert {arn.rpartition("/")[2] for arn in scaling("server")[0]} == groups and len(groups) == 2
    assert not scaling("trainer") + scaling("promoter") + scaling("reader")


# --------------------------------------------------------------------------------------------------- what hosts start


def user_data(planned, address: str, attribute: str) -> dict:
    text = gzip.decompress(base64.b64decode(planned[address][attribute])).decode()
    assert text.startswith("#cloud-config\n")
    return yaml.safe_load(text)


@pytest.fixture(scope="module")
def hosts(planned):
    return {
        "gpu": user_data(planned, "aws_launch_template.gpu", "user_data"),
        "server": user_data(planned, "aws_instance.server", "user_data_base64"),
    }


def written(host: dict) -> dict[str, str]:
    return {file["path"]: file["content"] for file in host["write_files"]}


@pytest.mark.parametrize("host", ["gpu", "server"])
def test_host_files_come_whole_through_the_user_data(hosts, host):
    here = {path.name: path.read_text() for path in [*INFRA.glob("*"), *(INFRA / "host").iterdir()] if path.is_file()}
    shipped = {path: content for path, content in written(hosts[host]).items() if Path(path).name in here}
    assert len(shipped) >= 3
    assert all(content == here[Path(path).name] for path, content in shipped.items())


@pytest.mark.parametrize("host", ["gpu", "server"])
def test_units_start_only_what_the_user_data_brings(hosts, host):
    """Every /etc, /opt and /usr/local file that a unit or a command names is among the written ones."""
    files = written(hosts[host])
    units = {path: content for path, content in files.items() if path.endswith(".service")}
    text = "\n".join([*units.values(), *hosts[host]["runcmd"]])
    named = set(re.findall(r"(?<![\w.])(?:/etc/graft|/opt/graft|/usr/local/lib/graft)/[\w.-]+", text))
    assert named and named <= {*files, "/opt/graft/.env"}   # which the first boot writes
    enabled = re.findall(r"[\w-]+\.service", " ".join(hosts[host]["runcmd"]))
    assert sorted(enabled) == sorted(Path(path).name for path in units)


def test_no_secret_in_the_user_data(hosts):
    text = json.dumps(hosts)
    assert not re.search(r"(PASSWORD|SECRET)[A-Z_]*=(?!\$\(openssl)[^\s$\\]", text)


def test_units_are_valid(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    for unit in (INFRA / "host").glob("*.service"):  # the commands of another machine stand in for by one of this
        text = re.sub(r"(?<=[=-])/usr/bin/(docker|systemctl)", "/bin/true", unit.read_text())
        (tmp_path / unit.name).write_text(text.replace("docker.service", ""))
    units = sorted(tmp_path.glob("*.service"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True)
    assert len(units) == 3
    assert not done.returncode and "graft" not in done.stderr, done.stderr
