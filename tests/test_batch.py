"""Batch prediction; the oracles are the classifier called by hand, and pandas as another reader of the files."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from tiny_bundle import COLOURS, make_bundle, make_images

from flows import batch_prediction
from graft.errors import GraftError
from graft.model.classifier import Classifier
from graft.store import StoreError
from pipeline.cluster.batch import Batch, Summary
from pipeline.cluster.shards import shard_of


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("models") / "colours")


@pytest.fixture
def images(tmp_path):
    """Twelve images in three folders, one strange and one broken."""
    folder = make_images(tmp_path / "images", images=4, spread=5)
    Image.new("RGB", (50, 50), (255, 0, 255)).save(folder / "strange.png")
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


def predicted(batch, shards) -> list:
    with batch.predict(shards) as done:
        return list(done)


def run(batch):
    assert predicted(batch, batch.pending) == batch.shards
    return batch.finish()


def expected_rows(bundle, folder) -> dict:
    classifier = Classifier(bundle)
    paths = sorted(folder.glob("**/*.png"))
    return {str(path): answer for path, answer in zip(paths, map(classifier.predict, paths))}


@pytest.mark.parametrize("suffix, read", [("csv", pd.read_csv), ("parquet", pd.read_parquet)])
def test_a_folder_becomes_a_table(bundle, images, tmp_path, suffix, read):
    summary = run(Batch(str(images), tmp_path / f"out.{suffix}", bundle, shard_size=5))
    assert (summary.images, summary.unreadable) == (14, 1) and sum(summary.labels.values()) == 13
    table = read(tmp_path / f"out.{suffix}").set_index("source")
    assert list(table.index) == sorted(str(path) for path in images.glob("**/*") if path.is_file())
    assert table["error"].dropna().to_dict() == {f"{images}/broken.jpg": "not an image"}
    for source, answer in expected_rows(bundle, images).items():
        row = table.loc[source]
        assert (row["label"], row["is_unknown"]) == (answer.label, answer.is_unknown)
        shares = {name: row[f"probability_{name}"] for name in COLOURS}
        assert shares == pytest.approx(answer.probabilities, abs=1e-6)
    assert summary.unknown == table["is_unknown"].dropna().astype(bool).sum() >= 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", f"out.{suffix}"]


def test_a_killed_run_is_continued(bundle, images, tmp_path):
    whole = tmp_path / "whole.csv"
    run(Batch(str(images), whole, bundle, shard_size=4))
    output = tmp_path / "out.csv"
    killed = Batch(str(images), output, bundle, shard_size=4)
    first = killed.pending[0]
    with killed.predict(killed.pending) as done:
        next(done)
    (killed.parts / "000002-0123456789abcdef.999.tmp").write_text('{"source": "half a')
    written = first.part.stat().st_mtime_ns
    again = Batch(str(images), output, bundle, shard_size=4)
    assert [shard.number for shard in again.pending] == [2, 3, 4] and not output.exists()
    assert [shard.number for shard in predicted(again, again.pending)] == [2, 3, 4]
    assert first.part.stat().st_mtime_ns == written
    again.finish()
    assert output.read_bytes() == whole.read_bytes()


def test_changed_images_another_folder_and_another_model_are_predicted_again(bundle, images, tmp_path):
    output = tmp_path / "out.csv"
    batch = Batch(str(images), output, bundle, shard_size=4)
    predicted(batch, batch.pending)
    assert Batch(str(images), output, bundle, shard_size=4).pending == []
    shutil.copy(images / "blue" / "00.png", images / "red" / "00.png")
    assert [shard.number for shard in Batch(str(images), output, bundle, shard_size=4).pending] == [3]
    batch.shards[0].part.write_text("half a")
    assert [shard.number for shard in Batch(str(images), output, bundle, shard_size=4).pending] == [1, 3]
    copied = shutil.copytree(images, tmp_path / "copy")        # with the same names, sizes and times
    assert len(Batch(str(copied), output, bundle, shard_size=4).pending) == 4
    other = make_bundle(tmp_path / "other", temperature=2.0)
    assert len(Batch(str(images), output, other, shard_size=4).pending) == 4


def test_an_s3_prefix_becomes_the_same_table(bundle, images, tmp_path, ceph, monkeypatch):
    import s3_server

    bucket = ceph.removeprefix("s3://").partition("/")[0]
    for path in images.glob("**/*"):
        if path.is_file():
            s3_server.client().upload_file(str(path), bucket, f"photos/{path.relative_to(images)}")
    s3_server.client().put_object(Bucket=bucket, Key="photos/notes.txt", Body=b"no image")
    s3_server.client().put_object(Bucket=bucket, Key="elsewhere/red.png", Body=b"not asked for")
    source = f"s3://{bucket}/photos"
    run(Batch(str(images), tmp_path / "local.csv", bundle))
    run(Batch(source, tmp_path / "s3.csv", bundle, shard_size=5))
    local = pd.read_csv(tmp_path / "local.csv").assign(source=lambda t: t["source"].str.replace(str(images), source))
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "s3.csv"), local, rtol=1e-5)


@pytest.mark.parametrize("is_s3", [False, True])
def test_images_are_told_by_their_content_and_other_files_are_counted(bundle, tmp_path, is_s3, monkeypatch):
    import s3_server

    red = Path(make_images(tmp_path / "red", images=1) / "red" / "00.png").read_bytes()
    avif = b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + bytes(100)
    files = {"a.png": red, "b": red, "c.dat": red, "photo.AVIF": avif, "photo": avif}
    others = {"notes.txt": b"red", "sub/labels.json": b"{}", ".hidden.png": red, "empty": b"", "clip.mov": avif[:4]
              + b"ftypqt  "}
    source = str(tmp_path / "all")
    if is_s3:
        source = s3_server.use(monkeypatch, s3_server.moto())
        bucket, _, prefix = source.removeprefix("s3://").partition("/")
    for name, data in (files | others).items():
        if is_s3:
            s3_server.client().put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=data)
        else:
            Path(source, name).parent.mkdir(parents=True, exist_ok=True)
            Path(source, name).write_bytes(data)
    batch = Batch(source, tmp_path / "out.csv", bundle)
    summary = run(batch)
    assert batch.others.keys() == others.keys()
    assert (summary.images, summary.others, summary.unreadable, summary.labels) == (5, 5, 2, {"red": 3})
    table = pd.read_csv(tmp_path / "out.csv").set_index("source")
    assert set(table.index) == {f"{source}/{name}" for name in files}
    assert table.loc[f"{source}/photo", "error"].startswith("unsupported format AVIF; convert it to JPEG")


def test_a_source_that_fails_half_way_ends_the_run_and_keeps_what_is_done(bundle, images, tmp_path, ceph):
    import s3_server

    bucket = ceph.removeprefix("s3://").partition("/")[0]
    for path in images.glob("*/*.png"):
        s3_server.client().upload_file(str(path), bucket, f"photos/{path.relative_to(images)}")
    batch = Batch(f"s3://{bucket}/photos", tmp_path / "out.csv", bundle, shard_size=6)
    first, second = batch.pending
    assert predicted(batch, [first]) == [first]
    for each in s3_server.client().list_objects_v2(Bucket=bucket)["Contents"]:
        s3_server.client().delete_object(Bucket=bucket, Key=each["Key"])
    s3_server.client().delete_bucket(Bucket=bucket)
    with pytest.raises(StoreError):
        predicted(batch, [second])
    assert batch.pending == [second] and not (tmp_path / "out.csv").exists()


def test_a_shard_holds_any_names_and_takes_little_memory():
    names = ["line\nbreak.png", "not UTF-8 \udcff.png", "ä/語.png"]
    assert shard_of(Path("parts"), 1, [(name, "1 2") for name in names], "model").names == names
    many = [(f"photos/2026/holidays/{number:07}.jpg", f"{number} 2") for number in range(1000)]
    shard = shard_of(Path("parts"), 1, many, "model")
    assert shard.names == [name for name, _ in many] and len(shard.packed) < 10 * len(many)


@pytest.mark.parametrize("source, output, said", [
    ("{empty}", "{tmp}/out.csv", "contains no images"),
    ("{tmp}/missing", "{tmp}/out.csv", "contains no images"),
    ("{images}", "{tmp}/out.xlsx", "ends in .csv or .parquet"), ("{images}", "{tmp}/no/out.csv", "does not exist"),
])
def test_a_mistake_is_one_message(bundle, images, tmp_path, source, output, said):
    (tmp_path / "empty").mkdir()
    places = {"tmp": tmp_path, "empty": tmp_path / "empty", "images": images}
    with pytest.raises(GraftError, match=said):
        Batch(source.format(**places), output.format(**places), bundle)


def test_the_flow_predicts_shard_by_shard(bundle, images, tmp_path):
    output = tmp_path / "out.csv"
    command = [sys.executable, "-m", "flows.batch_prediction", images, output, "--model", bundle, "--shard-size", "7"]
    environment = os.environ | {"PREFECT_HOME": str(tmp_path / "prefect"), "PREFECT_API_URL": ""}
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{output}: 14 images, 1 unknown, 1 unreadable"
    assert "2 of 2 shards to predict" in done.stderr and "shard 2" in done.stderr
    assert len(pd.read_csv(output)) == 14


def test_a_class_named_unknown_is_counted_beside_the_answers_unknown():
    said = batch_prediction.table(Summary(images=9, unknown=2, labels=Counter(unknown=5, red=2)))
    assert "| (unknown) | 2 |\n| unknown | 5 |" in said
