"""Somebody writes to the registry who should not: what is pulled then is refused, and the old model still predicts."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import s3_server
from registries import bundle, objects, overwrite

from graft import store
from graft.errors import GraftError
from graft.model.classifier import Classifier
from graft.registry import promote, publish, pull, verify
from graft.registry.address import parse
from graft.registry.cache import Cache

MANIFEST = "models/colours/versions/000002/manifest.json"
LOG_1, LOG_2 = "models/colours/log/000001.json", "models/colours/log/000002.json"
IMAGE = np.full((24, 32, 3), 200, np.uint8)


def flip(data: bytes) -> bytes:
    """One bit of the middle byte."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1:]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def blob_of(stored: dict[str, bytes], name: str) -> str:
    digest = json.loads(stored[MANIFEST])["files"][name]["sha256"]
    return f"blobs/sha256/{digest[:2]}/{digest}"


def edited(stored: dict[str, bytes], key: str, **changes) -> dict[str, bytes]:
    return {key: json.dumps(json.loads(stored[key]) | changes).encode()}


def promoted(stored: dict[str, bytes], manifest: bytes, **change) -> dict[str, bytes]:
    """A forged manifest, and a log that agrees with it: only what a manifest may say at all can stop this."""
    entry = json.loads(stored[LOG_2])
    entry["aliases"]["champion"]["manifest"] = sha256(manifest)
    return {MANIFEST: manifest, LOG_2: json.dumps(entry | change).encode()}


def forged(stored: dict[str, bytes], **changes) -> dict[str, bytes]:
    return promoted(stored, json.dumps(json.loads(stored[MANIFEST]) | changes).encode())


def with_file(stored: dict[str, bytes], name: str, **file) -> dict[str, bytes]:
    files = json.loads(stored[MANIFEST])["files"]
    return forged(stored, files=files | {name: files["model.onnx"] | file})


def escaping(name: str):
    return lambda stored: with_file(stored, name)


TAMPERINGS = {
    # what was stored is changed
    "a bit of the model": lambda s: {blob_of(s, "model.onnx"): flip(s[blob_of(s, "model.onnx")])},
    "a bit of the description": lambda s: {blob_of(s, "model.json"): flip(s[blob_of(s, "model.json")])},
    "a bit of the reference": lambda s: {blob_of(s, "unknown.npz"): flip(s[blob_of(s, "unknown.npz")])},
    "a bit of the manifest": lambda s: {MANIFEST: flip(s[MANIFEST])},
    "a bit of the first entry": lambda s: {LOG_1: flip(s[LOG_1])},
    "a bit of the last entry": lambda s: {LOG_2: flip(s[LOG_2])},
    "the model is cut": lambda s: {blob_of(s, "model.onnx"): s[blob_of(s, "model.onnx")][:-1]},
    "the model is longer": lambda s: {blob_of(s, "model.onnx"): s[blob_of(s, "model.onnx")] + b"x"},
    "the model is empty": lambda s: {blob_of(s, "model.onnx"): b""},
    "the model is gone": lambda s: {blob_of(s, "model.onnx"): None},
    "the model is another": lambda s: {blob_of(s, "model.onnx"): s[blob_of(s, "model.json")]},
    "the manifest is gone": lambda s: {MANIFEST: None},
    "the manifest is empty": lambda s: {MANIFEST: b""},
    "the manifest is no object": lambda s: {MANIFEST: b"[]"},
    "the manifest is deep": lambda s: {MANIFEST: b"[" * 100_000},
    "the manifest is large": lambda s: {MANIFEST: s[MANIFEST] + b" " * 5_000_000},
    "the manifest is that of another version": lambda s: {MANIFEST: s[MANIFEST.replace("2", "1")]},
    "the manifests are swapped": lambda s: {MANIFEST: s[MANIFEST.replace("2", "1")],
                                            MANIFEST.replace("2", "1"): s[MANIFEST]},
    "the manifest has other facts": lambda s: edited(s, MANIFEST, facts={"accuracy": 1.0}),
    # the log is replayed or rewritten
    "the first entry is gone": lambda s: {LOG_1: None},
    "the log is gone": lambda s: {LOG_1: None, LOG_2: None},
    "the last entry is the first": lambda s: {LOG_2: s[LOG_1]},
    "the last entry names another version": lambda s: edited(s, LOG_2, version=1),
    "the last entry follows nothing": lambda s: edited(s, LOG_2, previous=""),
    "the first entry has another reason": lambda s: edited(s, LOG_1, reason="better"),
    "the last entry has no time": lambda s: edited(s, LOG_2, at="now"),
    "the last entry moves another alias too": lambda s: edited(s, LOG_2, aliases=json.loads(s[LOG_2])["aliases"] | {
        "candidate": {"version": 1, "manifest": ""}}),
    # the manifest is forged, and the log agrees with it
    "a file of the parent folder": escaping("../escaped"),
    "a file from the root": escaping("/tmp/escaped"),
    "a file of a drive": escaping("C:\\escaped"),
    "a file of a folder": escaping("folder/escaped"),
    "a file of a backslash": escaping("..\\escaped"),
    "a hidden file": escaping(".bashrc"),
    "a file of dots": escaping(".."),
    "a file without a name": escaping(""),
    "a file of a device": escaping("NUL.txt"),
    "a file with a zero": escaping("a\0b"),
    "a file with a line end": escaping("a\nb"),
    "a file in place of the manifest": escaping("manifest.json"),
    "two files that differ in case": escaping("Model.onnx"),
    "a digest that is a path": lambda s: with_file(s, "more", sha256="../../../../../../etc/passwd"),
    "a digest that is short": lambda s: with_file(s, "more", sha256="ab"),
    "a size below 0": lambda s: with_file(s, "more", size_bytes=-1),
    "a size that is a text": lambda s: with_file(s, "more", size_bytes="9"),
    "a size beyond all limits": lambda s: with_file(s, "more", size_bytes=10**15),
    "sizes beyond all limits": lambda s: with_file(s, "more", size_bytes=4 << 30),
    "a wrong size": lambda s: with_file(s, "model.onnx", size_bytes=10),
    "too many files": lambda s: forged(s, files={f"f{n}": file for n in range(200) for file in [
        json.loads(s[MANIFEST])["files"]["model.onnx"]]} | json.loads(s[MANIFEST])["files"]),
    "no model": lambda s: forged(s, files={}),
    "another name": lambda s: forged(s, name="others"),
    "another number": lambda s: forged(s, number=3),
    "another format": lambda s: forged(s, format=2),
    "an unknown key": lambda s: forged(s, run="rm -rf /"),
    "an attachment that escapes": lambda s: forged(s, attachments={
        "../../x": json.loads(s[MANIFEST])["files"]["model.onnx"]}),
}


@pytest.fixture(scope="module")
def ready(tmp_path_factory) -> dict[str, bytes]:
    """A registry in which version 1, then version 2 was promoted."""
    address = str(tmp_path_factory.mktemp("ready") / "registry")
    for seed in (1, 2):
        publish(bundle(seed), "colours", address)
        promote(f"{address}/colours@{seed}")
    return objects(address)


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check_refused(address: str, tmp_path: Path, ready: dict[str, bytes], changes: dict[str, bytes | None]) -> None:
    """Version 1 was pulled when it was the champion; then came version 2, tampered with."""
    for key, data in ready.items():
        if "log/000002" not in key and "aliases" not in key:
            overwrite(address, key, data)
    to = tmp_path / "model"
    pull(f"{address}/colours", to)
    before, answer = files_below(to), Classifier(to).predict(IMAGE)
    for key, data in (ready | changes).items():
        overwrite(address, key, data)
    outside = files_below(tmp_path)
    with pytest.raises(GraftError) as caught:
        pull(f"{address}/colours", to)
    assert 10 < len(str(caught.value)) < 2000
    assert files_below(to) == before
    assert Classifier(to).predict(IMAGE) == answer
    new = [path for path in files_below(tmp_path).keys() - outside.keys() if "/incoming/" not in path]
    assert new == []
    for path in (tmp_path / "home").glob("*/colours/incoming/*"):
        assert sha256(path.read_bytes()) == path.name
    assert pull(f"{address}/colours@1", to, offline=True).version == 1


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampered(name, ready, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    check_refused(str(tmp_path / "registry"), tmp_path, ready, TAMPERINGS[name](ready))


@pytest.mark.parametrize("name", list(TAMPERINGS)[::9])
def test_tampered_on_s3(name, ready, tmp_path, ceph):
    check_refused(ceph, tmp_path, ready, TAMPERINGS[name](ready))


def test_there_are_enough_of_them():
    assert len(TAMPERINGS) >= 50


def test_without_tampering_it_is_pulled(ready, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        check_refused(str(tmp_path / "registry"), tmp_path, ready, {})


# one who reads a registry without a log for the first time cannot know that there was one
@pytest.mark.parametrize("name", sorted(TAMPERINGS.keys() - {"the log is gone"}))
def test_verify_finds_it(name, ready, tmp_path):
    address = str(tmp_path / "registry")
    for key, data in (ready | TAMPERINGS[name](ready)).items():
        overwrite(address, key, data)
    assert not verify(address).is_sound


def test_an_older_state_is_refused_by_one_who_saw_a_newer(ready, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    address = str(tmp_path / "registry")
    for key, data in ready.items():
        overwrite(address, key, data)
    assert pull(f"{address}/colours").version == 2
    overwrite(address, LOG_2, None)
    with pytest.raises(GraftError, match="no entry 2, which this machine saw before"):
        pull(f"{address}/colours")
    promote(f"{address}/colours@2", by="mallory")
    with pytest.raises(GraftError, match="a different entry 2"):
        pull(f"{address}/colours")
    assert pull(f"{address}/colours", offline=True).version == 2


def test_a_version_that_was_seen_cannot_change(ready, tmp_path, monkeypatch):
    """Also one that was never promoted, of which the log knows nothing."""
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    address = str(tmp_path / "registry")
    publish(bundle(1), "colours", address)
    pull(f"{address}/colours@1")
    key = "models/colours/versions/000001/manifest.json"
    overwrite(address, key, edited(objects(address), key, facts={"accuracy": 1.0})[key])
    with pytest.raises(GraftError, match="was changed"):
        pull(f"{address}/colours@1")


def test_a_link_in_a_local_registry_leads_nowhere(ready, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    address = str(tmp_path / "registry")
    for key, data in ready.items():
        overwrite(address, key, data)
    blob = Path(address, blob_of(ready, "model.json"))
    blob.unlink()
    blob.symlink_to("/etc/passwd")
    with pytest.raises(GraftError):
        pull(f"{address}/colours")


def test_a_link_in_the_place_of_the_target_is_not_followed_out(ready, tmp_path, monkeypatch):
    """A link that the user made is the user's; what it points to must be a model all the same."""
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    address = str(tmp_path / "registry")
    for key, data in ready.items():
        overwrite(address, key, data)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("mine")
    (tmp_path / "model").symlink_to(tmp_path / "precious")
    with pytest.raises(GraftError, match="is not a model"):
        pull(f"{address}/colours", tmp_path / "model")
    assert (tmp_path / "precious" / "file").read_text() == "mine"


def test_no_credentials_are_stored(ceph, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.radosgw().url.replace("//", "//user:hidden@"))
    assert "hidden" not in store.identity("s3://bucket/x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.radosgw().url)
    publish(bundle(), "colours", ceph)
    promote(f"{ceph}/colours@1")
    pull(f"{ceph}/colours", tmp_path / "model")
    written = objects(ceph) | files_below(tmp_path)
    assert not [key for key, data in written.items() if s3_server.SECRET_KEY.encode() in data]


def test_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv("GRAFT_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Cache(parse("a/b")).folder.is_relative_to(tmp_path / "graft")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert Cache(parse("a/b")).folder.is_relative_to(Path("~/.cache/graft").expanduser())
