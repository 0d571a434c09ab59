"""Both stores keep the same promises."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.request import urlopen

import pytest
import s3_server

from graft.store import Damaged, LocalStore, Missing, StoreError, identity, open_store
from graft.store.address import is_on_loopback
from graft.store.folder import TEMPORARY


def test_create_writes_once(registry):
    store = open_store(registry)
    assert store.create("a/b", b"first")
    assert not store.create("a/b", b"other")
    assert not store.create("a/b", b"first")
    assert store.read_whole("a/b", 100) == b"first"


def test_create_from_a_file(registry, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(os.urandom(3_000_000))
    store = open_store(registry)
    assert store.create("blob", file)
    assert not store.create("blob", file)
    assert store.read("blob", 0, 4_000_000) == file.read_bytes()
    assert store.stat("blob").size_bytes == 3_000_000


def test_replace_and_delete(registry):
    store = open_store(registry)
    store.replace("x", b"1")
    store.replace("x", b"22")
    assert store.read_whole("x", 2) == b"22"
    store.delete("x")
    store.delete("x")
    assert store.stat("x") is None
    with pytest.raises(Missing):
        store.read("x", 0, 1)


@pytest.mark.parametrize(("start", "length", "expected"), [
    (0, 10, b"0123456789"), (3, 4, b"3456"), (8, 10, b"89"), (10, 5, b""), (50, 5, b""),
])
def test_read_part(registry, start, length, expected):
    store = open_store(registry)
    store.create("digits", b"0123456789")
    assert store.read("digits", start, length) == expected


def test_read_empty_object(registry):
    store = open_store(registry)
    store.create("empty", b"")
    assert store.read_whole("empty", 10) == b""


def test_a_link_is_what_a_browser_can_open_from_anywhere(registry):
    store = open_store(registry)
    store.create("a b/report.html", "<p>Käse".encode())
    link = store.link("a b/report.html", "text/html")
    assert bool(link) == registry.startswith("s3://")       # a folder is on one machine alone
    if not link:
        return
    with urlopen(link) as reply:                            # without any credentials
        assert reply.read().decode() == "<p>Käse"
        assert reply.headers["Content-Type"] == "text/html"


def test_read_whole_refuses_more_than_its_limit(registry):
    store = open_store(registry)
    store.create("large", b"x" * 101)
    with pytest.raises(Damaged, match="larger than 100 bytes"):
        store.read_whole("large", 100)


def test_scan_is_sorted_and_whole(registry):
    store = open_store(registry)
    keys = [f"list/{number:04}/file" for number in range(60)]
    for key in reversed(keys):
        store.create(key, key.encode())
    store.create("listless", b"")
    assert [each.key for each in store.scan("list/")] == keys
    assert [each.size_bytes for each in store.scan("list/")] == [len(key) for key in keys]
    assert [each.key for each in store.scan("")] == [*keys, "listless"]
    assert list(store.scan("nothing/")) == []


def test_scan_of_more_than_one_page(ceph):
    store = open_store(ceph)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda number: store.create(f"many/{number:04}", b""), range(1_050)))
    assert len(list(store.scan("many/"))) == 1_050


def test_folders(registry):
    store = open_store(registry)
    for key in ("m/one/x", "m/two/y/z", "m/file"):
        store.create(key, b"")
    assert store.folders("m/") == ["one", "two"]
    assert store.folders("none/") == []
    store.delete("m/one/x")
    assert store.folders("m/") == ["two"]


def test_clock_and_times_agree(registry):
    store = open_store(registry)
    before = store.now()
    store.create("x", b"")
    assert before - timedelta(seconds=2) <= store.stat("x").modified <= store.now() + timedelta(seconds=2)
    assert abs(store.now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_of_many_writers_one_wins(real):
    store = open_store(real)
    for turn in range(20):
        start = threading.Barrier(16)

        def write(number, key=f"race/{turn}", start=start):
            start.wait()
            return store.create(key, f"writer {number}".encode() * 1000)

        with ThreadPoolExecutor(16) as pool:
            won = list(pool.map(write, range(16)))
        assert won.count(True) == 1
        assert store.read_whole(f"race/{turn}", 100_000) == f"writer {won.index(True)}".encode() * 1000


def test_local_writers_leave_no_temporary_file(tmp_path):
    store = LocalStore(tmp_path)
    store.create("a", b"1")
    store.create("a", b"2")
    store.replace("a", b"3")
    assert list((tmp_path / TEMPORARY).iterdir()) == []


def test_local_sweep_removes_what_killed_writers_left(tmp_path):
    store = LocalStore(tmp_path)
    store.create("a", b"1")
    (tmp_path / TEMPORARY / "left").write_bytes(b"half")
    assert [each.key for each in store.scan("")] == ["a"]
    assert store.sweep(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert store.sweep(datetime.now(UTC) + timedelta(hours=1)) == 1
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a"]


def test_local_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for write in (LocalStore(tmp_path / "file").create, LocalStore(tmp_path / "file").replace):
        with pytest.raises(StoreError, match="Expected a folder that you can read and write"):
            write("a", b"1")


def test_a_local_folder_that_cannot_be_listed_is_not_an_empty_one(tmp_path):
    """As one that others may not read: without its log, a model would count as never promoted."""
    (tmp_path / "file").write_text("no folder")
    assert not list(LocalStore(tmp_path).scan("nothing/")) and not list(LocalStore(tmp_path).scan("file/"))
    with pytest.raises(StoreError, match="File name too long"):
        LocalStore(tmp_path).scan("x" * 300 + "/")


def test_a_full_disk_leaves_nothing_behind():
    full = LocalStore("/dev/full/registry")
    with pytest.raises((StoreError, Missing)):
        full.create("a", b"1")


def test_identity_tells_endpoints_apart(monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    one = identity("s3://bucket/x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:2")
    assert one != identity("s3://bucket/x")
    assert identity("registry") == identity("./registry/")


def test_open_store_asks_nobody(monkeypatch):
    server = s3_server.Server("http://127.0.0.1:9", 9)
    for name, value in s3_server.settings(server).items():
        monkeypatch.setenv(name, value)
    assert open_store("s3://bucket/prefix").address == "s3://bucket/prefix"


@pytest.mark.parametrize("url, expected", [
    ("http://127.0.0.1:9000", True), ("https://localhost", True), ("http://[::1]:9000", True),
    ("http://minio.localhost", True), ("http://127.1.2.3", True), ("https://s3.example.org", False),
    ("http://10.0.0.1", False), ("http://127.0.0.1.example.org", False), ("http://[::1", False), ("not a URL", False),
])
def test_loopback_is_recognized_however_it_is_written(url, expected):
    assert is_on_loopback(url) == expected


def test_a_store_on_loopback_needs_no_proxy(registry, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")      # nobody listens there
    store = open_store(registry)
    store.replace("a", b"1")
    assert store.read_whole("a", 1) == b"1"


def test_a_proxy_that_refuses_is_one_message(monkeypatch):
    for name, value in s3_server.settings(s3_server.Server("http://s3.example.org", 80)).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match="the proxy refuses the connection. Correct HTTP_PROXY"):
        open_store("s3://bucket/models").stat("a")
