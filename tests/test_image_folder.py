"""Images in S3: read where they are, with the same results as from a folder of this machine."""

import filecmp
import hashlib
import io
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import s3_server
from intake_images import jpeg, picture, write_classes

from benchmarks.scratch import TINY, Project
from flows import new_data, preflight, sources, start
from graft.errors import GraftError
from graft.images import UnreadableImage, read_bytes
from graft.store import StoreError
from pipeline.arguments import WrongArgument
from pipeline.image_folder import S3Path, image_folder, on_this_machine
from pipeline.intake.decisions import table_of
from pipeline.intake.listing import list_files
from pipeline.intake.scan import scan
from pipeline.intake.scan_cache import ScanCache
from tasks import inbox


@pytest.fixture
def bucket(ceph, tmp_path, monkeypatch) -> str:
    (tmp_path / "aws").touch()          # DVC's own client of S3 wants a regular file
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "aws"))
    return ceph.removeprefix("s3://").partition("/")[0]


def put(bucket: str, **objects: bytes) -> None:
    for key, data in objects.items():
        s3_server.client().put_object(Bucket=bucket, Key=key, Body=data)


def upload(folder: Path, bucket: str, prefix: str) -> S3Path:
    put(bucket, **{f"{prefix}/{path.relative_to(folder).as_posix()}": path.read_bytes()
                   for path in folder.rglob("*") if path.is_file()})
    return image_folder(f"s3://{bucket}/{prefix}")


def read(images, cache: Path):
    return scan(images, list_files(images), ScanCache(cache, images))


def test_an_address_is_a_path_that_reads_itself(bucket):
    put(bucket, **{"a/ä b#?.jpg": b"12345"})
    folder = image_folder(f"s3://{bucket}/a/")
    assert str(folder) == f"s3://{bucket}/a" and folder.name == "a" and isinstance(image_folder("data/a"), Path)
    file = folder / "ä b#?.jpg"
    assert str(file) == f"s3://{bucket}/a/ä b#?.jpg" and read_bytes(file) == b"12345" and file.read_start(2) == b"12"
    assert list(image_folder(f"s3://{bucket}").objects) == ["a/ä b#?.jpg"]
    with pytest.raises(UnreadableImage, match="no such object any more"):
        read_bytes(folder / "b.jpg")
    with on_this_machine([file]) as (copy,):
        assert copy.read_bytes() == b"12345"
    assert not copy.exists()


def test_a_scan_finds_what_it_finds_in_a_folder_and_reads_only_what_has_changed(bucket, tmp_path):
    local = tmp_path / "pets"
    write_classes(local, {"cat": 40, "dog": 40})
    (local / "cat/broken.jpg").write_bytes(b"no image")
    (local / "cat/empty.jpg").touch()
    (local / "cat/notes.txt").write_text("no image")
    (local / ".DS_Store").touch()
    there = upload(local, bucket, "some/pets")
    expected, found = read(local, tmp_path / "local"), read(there, tmp_path / "s3")
    assert (found.read, found.stray, found.unreadable) == (expected.read, expected.stray, expected.unreadable)
    assert [(file, each.sha256) for file, each in found.fingerprints.items()] == [
        (file, each.sha256) for file, each in expected.fingerprints.items()]
    assert read(image_folder(str(there)), tmp_path / "s3").read == 0
    put(bucket, **{"some/pets/cat/1.jpg": jpeg(picture(1000))})
    assert read(image_folder(str(there)), tmp_path / "s3").read == 1


def test_keys_that_are_no_paths_are_named_and_an_empty_folder_is_a_class(bucket):
    odd = ["pets/cat//1.jpg", "pets/../1.jpg", "pets/cat/./1.jpg", "pets//cat/1.jpg", "pets/cat/1\x1b[31m.jpg"]
    put(bucket, **dict.fromkeys([*odd, "pets/cat/1.jpg", "pets/cat/CAT.jpg", "pets/dog/", "pets/", "pets2/x/1.jpg",
                                 "pets/dog.jpg", "pets/a/b/c/1.jpg"], b"x"))
    listing = list_files(image_folder(f"s3://{bucket}/pets"), check_folders=False)
    assert [(file.path, file.label) for file in listing.files] == [
        ("a/b/c/1.jpg", "a/b/c"), ("cat/1.jpg", "cat"), ("cat/CAT.jpg", "cat")]
    assert listing.class_names == {"a/b/c", "cat", "dog"}
    assert len(listing.stray) == len(odd) + 1 and listing.stray["dog.jpg"] == "not in a class folder"
    assert listing.stray["cat/1\\x1b[31m.jpg"].startswith("its key contains control characters")
    assert listing.stray["../1.jpg"] == listing.stray["cat//1.jpg"] == "its key is no path of a file: rename it"


def test_a_label_table_is_read_from_the_prefix(bucket):
    table = b"path,label\na.jpg,cat\n.hidden.jpg,dog\n"
    put(bucket, **{"pets/labels.csv": table, "pets/a.jpg": b"x", "pets/.hidden.jpg": b"x"})
    pets = f"s3://{bucket}/pets"
    assert [file.label for file in list_files(image_folder(pets)).files] == ["dog", "cat"]
    put(bucket, **{"cafés/labels.csv": "path,label\né.jpg,cat\n".encode(), "cafés/e\u0301.jpg": b"x"})
    assert [file.path for file in list_files(image_folder(f"s3://{bucket}/cafés")).files] == ["e\u0301.jpg"]
    packed = io.BytesIO()
    pd.DataFrame({"path": ["a.jpg"], "label": ["cat"]}).to_parquet(packed)
    put(bucket, **{"packed/labels.parquet": packed.getvalue(), "packed/a.jpg": b"x"})
    assert [file.label for file in list_files(image_folder(f"s3://{bucket}/packed")).files] == ["cat"]
    put(bucket, **{"pets/labels.csv": table + b"../b.jpg,cat\n"})
    with pytest.raises(GraftError, match=rf"{pets}/labels.csv: line 4: path '../b.jpg' leads out of the folder"):
        list_files(image_folder(pets))


@pytest.mark.parametrize("address, kind, said", [
    ("s3://{bucket}/nothing", WrongArgument, "there is no image below 's3://{bucket}/nothing'"),
    ("s3://no-such-bucket/pets", StoreError, "the images in s3://no-such-bucket: the bucket does not exist"),
])
def test_an_address_without_images_is_one_message(bucket, address, kind, said):
    with pytest.raises(kind) as caught:
        list_files(image_folder(address.format(bucket=bucket)))
    assert said.format(bucket=bucket) in str(getattr(caught.value, "problems", caught.value))


def test_who_may_not_read_is_told_before_anything_runs(bucket, tmp_path, monkeypatch):
    project = Project(tmp_path / "project", **{"data.images": f"s3://{bucket}/pets"})
    put(bucket, **{"pets/cat/1.jpg": b"x"})
    s3_server.add_user("stranger", "strangers-secret")
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stranger")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "strangers-secret")
    with pytest.raises(GraftError, match="the images in s3://.*: these credentials do not allow this"):
        preflight.check()


def test_the_stages_write_the_same_bytes_and_run_again_only_for_other_objects(bucket, project, tmp_path):
    """All that reads images before a model is trained; and no image is left on this machine."""
    images = upload(project.folder / "data/tiny", bucket, "tiny")
    there = Project(tmp_path / "there", **{**TINY, "data.images": str(images)})
    there.run("dvc", "repro", "extract")
    levels = json.loads((project.folder / "outputs/extract/levels.json").read_text())["folder"]
    for folder in ("validate", "split", "extract", f"../.graft/activations/{levels}"):
        names = [str(path.relative_to(project.folder / "outputs"))
                 for path in (project.folder / "outputs" / folder).rglob("*.*")]
        _, different, missing = filecmp.cmpfiles(project.folder / "outputs", there.folder / "outputs", names, False)
        assert len(names) >= 2 and not different and not missing, folder
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (project.folder / "data/tiny").rglob("*.png")}
    assert not digests & {hashlib.sha256(path.read_bytes()).hexdigest()
                          for path in there.folder.rglob("*") if path.is_file()}

    assert "Running stage 'validate'" not in there.run("dvc", "repro", "split").stdout
    path = next((project.folder / "data/tiny").rglob("*.png"))
    other = next(path.parent.glob("*9.png"))
    key = f"tiny/{path.relative_to(project.folder / 'data/tiny').as_posix()}"
    put(bucket, **{key: other.read_bytes()})
    shutil.rmtree(there.folder / ".graft/activations")
    failed = there.run("python", "-m", "tasks.extract", check=False)
    assert f"s3://{bucket}/{key} has changed since the data were validated" in failed.stderr
    assert "Running stage 'validate'" in there.run("dvc", "repro", "split").stdout


def test_a_project_is_set_up_for_a_prefix(bucket, tmp_path, monkeypatch, capsys):
    Project(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    write_classes(tmp_path / "pets", {"cat": 12, "dog": 12})
    images = upload(tmp_path / "pets", bucket, "My Pets")
    start.start(str(images), weights="starter")
    said = capsys.readouterr().out
    assert f"24 files in 2 classes in {images}: cat 12, dog 12" in said and "name of the model: my-pets" in said
    assert f"tracked  {images}: DVC compares its listing in each run. To record this: `git add params.yaml &&" in said
    assert not list(Path("data").glob("**/*.dvc")) and table_of(images) == Path("data/My Pets.decisions.csv")
    with pytest.raises(GraftError, match="where Graft writes nothing, so no picture can be added"):
        inbox.open_inbox("collected", images)


def test_a_look_sees_new_objects(bucket, tmp_path, monkeypatch):
    Project(tmp_path / "project", **{"data.images": f"s3://{bucket}/pets"})
    monkeypatch.chdir(tmp_path / "project")
    put(bucket, **{"pets/cat/1.jpg": b"1", "pets/cat/2.jpg": b"2", "pets/dog/1.jpg": b"3"})
    with new_data.Dvc() as dvc:
        before = sources.imported(dvc)
        assert sources.imported(dvc) == before
        put(bucket, **{"pets/cat/3.jpg": b"4", "pets/dog/1.jpg": b"5"})
        after = sources.imported(dvc)
    assert sources.changes(before, after) == (
        f"1 file added in s3://{bucket}/pets/cat, files changed in s3://{bucket}/pets/dog")
