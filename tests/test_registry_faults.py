"""Servers that fail, networks that cut, clocks that err, disks that fill: the old state or the new one, never a mix."""

import os
import resource
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import s3_server
from faults import Fault, faulty
from registries import bundle

from benchmarks.processes import wait_for
from graft.errors import GraftError
from graft.registry import history, promote, publish, pull, verify
from graft.registry.log import Entry, append
from graft.store import LocalStore, StoreError, open_store, s3


@pytest.fixture
def no_pauses(monkeypatch):
    """Neither boto3 nor the store waits before it asks again."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda self, context: 0)
    monkeypatch.setattr(s3, "random", SimpleNamespace(uniform=lambda low, high: 0))
    monkeypatch.setattr(s3, "time", SimpleNamespace(sleep=lambda seconds: None, monotonic=time.monotonic))


@pytest.fixture
def proxy(ceph, monkeypatch, no_pauses):
    """Ceph behind a faulty network; `proxy.registry` holds one version, which is the champion."""
    publish(bundle(1), "colours", ceph)
    promote(f"{ceph}/colours@1")
    with faulty(s3_server.radosgw()) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.server.url)
        proxy.registry = ceph
        yield proxy


@pytest.mark.parametrize("what", [500, 503, 429, "drop", "lose"])
def test_faults_that_pass_are_not_noticed(proxy, what):
    for method in ("GET", "PUT", "HEAD"):
        proxy.add(*[Fault(method, ".", what) for _ in range(2)])
    assert publish(bundle(2), "colours", proxy.registry).version == 2
    for method in ("GET", "PUT"):
        proxy.add(Fault(method, "/log/|/versions/", what))
    assert promote(f"{proxy.registry}/colours@2").number == 2
    proxy.add(Fault("GET", "/blobs/", what, times=2))
    assert pull(f"{proxy.registry}/colours").version == 2
    assert [entry.version for entry in history(f"{proxy.registry}/colours")] == [1, 2]
    assert all(fault.times == 0 for fault in proxy.faults)


@pytest.mark.parametrize("date", ["Thu, 01 Jan 2026 00:00:00 GMT", "yesterday"])
def test_a_gateway_may_add_a_date(proxy, date):
    proxy.more = (("Date", date),)
    before = datetime.now(UTC)
    assert abs(promote(f"{proxy.registry}/colours@1", alias="stable").time - before) < timedelta(minutes=1)


def test_a_lost_reply_to_the_write_that_decides_is_a_success(proxy):
    proxy.add(Fault("PUT", r"/versions/000002/manifest\.json", "lose"))
    published = publish(bundle(2), "colours", proxy.registry)
    assert (published.version, published.is_new) == (2, True)
    proxy.add(Fault("PUT", r"/log/000002\.json", "lose"))
    entry = promote(f"{proxy.registry}/colours@2", expect=1)
    assert (entry.number, entry.version) == (2, 2)
    assert len(history(f"{proxy.registry}/colours")) == 2
    assert sum(fault.times for fault in proxy.faults) == 0


def test_a_write_whose_reply_comes_too_late_is_a_success(proxy, monkeypatch):
    publish(bundle(2), "colours", proxy.registry)
    monkeypatch.setattr(s3, "READ_TIMEOUT_S", 1)
    proxy.add(*[Fault("PUT", r"/log/000002\.json", "slow", seconds=3) for _ in range(s3.ATTEMPTS)])
    assert promote(f"{proxy.registry}/colours@2").number == 2
    assert sum(path.endswith("/log/000002.json") for _, path in proxy.requests) > s3.ATTEMPTS
    assert len(history(f"{proxy.registry}/colours")) == 2


def test_the_loser_of_a_lost_reply_is_told_so(proxy):
    """Our write is lost on its way, another one lands, our repeated write is refused: it was not ours."""
    publish(bundle(2), "colours", proxy.registry)
    store = open_store(proxy.registry)
    key = "models/colours/log/000002.json"

    def another_is_faster(number):
        if proxy.requests[-1][0] == "PUT" and proxy.requests[-1][1].endswith(key):
            proxy.before = lambda number: None
            os.environ["AWS_ENDPOINT_URL"] = s3_server.radosgw().url        # straight, past the proxy
            promote(f"{proxy.registry}/colours@2", by="the other one")
            os.environ["AWS_ENDPOINT_URL"] = proxy.server.url

    proxy.before = another_is_faster
    proxy.add(Fault("PUT", key, 503))
    first = Entry(**vars(history(f"{proxy.registry}/colours")[0]))
    assert append(store, "colours", first, action="promote", alias="x", version=1, by="us",
                  aliases=first.aliases | {"x": first.aliases["champion"]}) is None
    assert [entry.by for entry in history(f"{proxy.registry}/colours")][1:] == ["the other one"]


def test_a_server_that_keeps_failing_ends_in_one_message(proxy, tmp_path):
    proxy.add(Fault("GET", ".", 503, times=1000))
    with pytest.raises(StoreError, match="503 Injected503.*Try again later"):
        pull(f"{proxy.registry}/colours", tmp_path / "model")
    assert not (tmp_path / "model").exists()
    with pytest.raises(StoreError):
        promote(f"{proxy.registry}/colours@1", alias="x")
    assert len(proxy.requests) <= 2 * s3.ATTEMPTS


def test_a_server_that_never_answers_ends_in_one_message(proxy, monkeypatch):
    monkeypatch.setattr(s3, "READ_TIMEOUT_S", 0.2)
    proxy.add(Fault("GET", ".", "slow", times=100, seconds=2))
    with pytest.raises(StoreError, match="no answer from the server"):
        pull(f"{proxy.registry}/colours")
    wait_for(lambda: len(proxy.requests) == s3.ATTEMPTS)        # the proxy may read the last one late


def test_a_body_that_is_cut_is_read_again(proxy):
    proxy.add(*[Fault("GET", "/blobs/", "cut") for _ in range(3)])
    assert pull(f"{proxy.registry}/colours").version == 1
    assert sum(fault.times for fault in proxy.faults) == 0


@pytest.mark.parametrize("path", ["/blobs/", "/versions/", "/log/"])
def test_a_body_that_is_changed_on_its_way_is_refused(proxy, path, tmp_path):
    pull(f"{proxy.registry}/colours", tmp_path / "model")
    publish(bundle(2), "colours", proxy.registry)
    promote(f"{proxy.registry}/colours@2")
    proxy.add(Fault("GET", rf"{path}[^?]*$", "corrupt"))
    with pytest.raises(GraftError):
        pull(f"{proxy.registry}/colours", tmp_path / "model")
    assert (tmp_path / "model" / "unknown.npz").read_bytes() == (bundle(1) / "unknown.npz").read_bytes()
    assert pull(f"{proxy.registry}/colours", tmp_path / "model").version == 2


def test_an_upload_that_is_changed_on_its_way_is_refused(proxy):
    proxy.add(Fault("PUT", "/blobs/", "garble"))
    with pytest.raises(StoreError, match="the data arrived damaged"):
        publish(bundle(2), "colours", proxy.registry)
    assert publish(bundle(2), "colours", proxy.registry).version == 2
    assert verify(proxy.registry).findings == []


def test_a_clock_that_is_wrong_is_named(ceph, monkeypatch):
    import botocore.auth

    real = botocore.auth.get_current_datetime
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *a, **k: real(*a, **k) - timedelta(hours=1))
    with pytest.raises(StoreError, match="clock differs from the server.s by more than 15 minutes"):
        pull(f"{ceph}/colours")


def test_a_wrong_clock_dates_its_own_entry_and_no_later_one(tmp_path, monkeypatch):
    registry = str(tmp_path / "registry")
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    for seed in (1, 2):
        publish(bundle(seed), "colours", registry)
    promote(f"{registry}/colours@1")
    with monkeypatch.context() as wrong:
        wrong.setattr(LocalStore, "now", lambda self: datetime(2001, 1, 1, tzinfo=UTC))
        promote(f"{registry}/colours@2")
    promote(f"{registry}/colours@1")
    first, second, third = history(f"{registry}/colours")
    assert second.at.startswith("2001-01-01")
    assert third.at >= first.at


def test_entries_carry_the_servers_clock(ceph):
    publish(bundle(), "colours", ceph)
    entry = promote(f"{ceph}/colours@1")
    key = next(each for each in open_store(ceph).scan("models/colours/log/"))
    assert abs(entry.time - key.modified) < timedelta(minutes=1)


def test_a_full_disk_keeps_the_old_model(tmp_path, monkeypatch):
    registry, to = str(tmp_path / "registry"), tmp_path / "model"
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    publish(bundle(1), "colours", registry)
    pull(f"{registry}/colours@1", to)
    large = tmp_path / "large"
    large.write_bytes(os.urandom(1_000_000))
    publish(bundle(2), "colours", registry, attachments={"large": large})
    other = tmp_path / "other"
    other.write_bytes(os.urandom(1_000_000))
    with _room(100_000), pytest.raises(GraftError, match="on a disk with free space"):
        pull(f"{registry}/colours@2", to, attachments=True)
    with _room(100_000), pytest.raises(GraftError, match="on a disk with free space"):
        publish(bundle(3), "colours", registry, attachments={"large": other})
    assert (to / "unknown.npz").read_bytes() == (bundle(1) / "unknown.npz").read_bytes()
    assert verify(registry).is_sound
    assert pull(f"{registry}/colours@2", to, attachments=True).version == 2


class _room:
    """No file can grow beyond so many bytes: the system refuses the write, as a full disk does."""

    def __init__(self, size_bytes: int):
        self.size_bytes = size_bytes

    def __enter__(self):
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size_bytes, self.before[1]))

    def __exit__(self, *_):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


def test_no_room_is_said_before_anything_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    publish(bundle(), "colours", str(tmp_path / "registry"))
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10))
    with pytest.raises(GraftError, match="10 are free"):
        pull(f"{tmp_path}/registry/colours@1")


def test_a_server_whose_certificate_nobody_vouches_for_is_refused(ceph, tmp_path, monkeypatch):
    publish(bundle(), "colours", ceph)
    certificate, key = _certificate(tmp_path)
    with faulty(s3_server.radosgw(), tls=(certificate, key)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.server.url)
        with pytest.raises(StoreError, match="certificate is not trusted. Set AWS_CA_BUNDLE"):
            pull(f"{ceph}/colours")
        assert proxy.requests == []             # not even the signed request was sent
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        assert pull(f"{ceph}/colours").version == 1
        assert publish(bundle(2), "colours", ceph).version == 2
        assert promote(f"{ceph}/colours@2").number == 1
        assert pull(f"{ceph}/colours").version == 2


def _certificate(folder):
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    builder = builder.add_extension(address, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(builder.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    key.write_bytes(private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return certificate, key
