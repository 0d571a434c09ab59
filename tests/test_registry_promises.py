"""A store that takes conditional writes and ignores the condition is found out at the first publish, and refused."""

import pytest
import s3_server
from faults import faulty
from registries import bundle, objects

from graft.registry import history, promote, publish, pull
from graft.store import StoreError, open_store

IGNORES = "ignores the condition"


def check_refused(address: str) -> None:
    for _ in range(2):
        with pytest.raises(StoreError, match=IGNORES):
            publish(bundle(), "colours", address)
    assert not [key for key in objects(address) if key.startswith("models/")]


def put_behind_its_back(address: str, source: str) -> None:
    """Copy a registry there object by object, as a person would with any other tool."""
    store = open_store(address)
    for key, data in objects(source).items():
        store.replace(key, data)


def test_rclone_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    address = s3_server.use(monkeypatch, s3_server.rclone())
    with pytest.raises(StoreError, match=IGNORES):
        publish(bundle(), "colours", address)
    publish(bundle(), "colours", str(tmp_path / "local"))
    put_behind_its_back(address, str(tmp_path / "local"))
    with pytest.raises(StoreError, match=IGNORES):
        promote(f"{address}/colours@1")


@pytest.fixture
def ignoring(tmp_path, monkeypatch):
    """An S3 server that never sees a condition, because a proxy takes the header away."""
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    with faulty(s3_server.moto()) as proxy:
        proxy.without = ("If-None-Match",)
        yield s3_server.use(monkeypatch, proxy.server)


def test_an_ignored_condition_is_refused(ignoring):
    check_refused(ignoring)


def test_nothing_is_promoted_where_conditions_are_ignored(ignoring, tmp_path):
    local = str(tmp_path / "local")
    publish(bundle(1), "colours", local)
    publish(bundle(2), "colours", local)
    promote(f"{local}/colours@1")
    put_behind_its_back(ignoring, local)
    with pytest.raises(StoreError, match=IGNORES):
        promote(f"{ignoring}/colours@2")
    assert [entry.version for entry in history(f"{ignoring}/colours")] == [1]
    assert pull(f"{ignoring}/colours").version == 1         # to read from it does no harm


def test_ceph_is_refused_where_it_ignores_conditions(ceph):
    """On versioned buckets Ceph of Debian 12 does."""
    bucket = ceph.split("/")[2]
    s3_server.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    check_refused(ceph)


def test_versioned_buckets_are_fine_where_conditions_hold(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    address = s3_server.use(monkeypatch, s3_server.moto())
    bucket = address.split("/")[2]
    s3_server.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert publish(bundle(), "colours", address).is_new
    assert not publish(bundle(), "colours", address).is_new
    assert promote(f"{address}/colours@1").number == 1


def test_a_bucket_that_one_may_only_read(ceph, tmp_path):
    """A policy that forbids writing: publishing says so, pulling works."""
    import json

    publish(bundle(), "colours", ceph)
    bucket = ceph.split("/")[2]
    deny = {"Effect": "Deny", "Principal": "*", "Action": ["s3:PutObject", "s3:DeleteObject"],
            "Resource": f"arn:aws:s3:::{bucket}/*"}
    policy = {"Version": "2012-10-17", "Statement": [deny]}
    s3_server.client().put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    with pytest.raises(StoreError, match="do not allow this"):
        publish(bundle(2), "colours", ceph)
    with pytest.raises(StoreError, match="do not allow this"):
        promote(f"{ceph}/colours@1")
    assert pull(f"{ceph}/colours@1", tmp_path / "model").version == 1
