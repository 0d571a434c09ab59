"""On a real Ray cluster of two workers on this machine; the oracle is the same work done without it."""

import filecmp
import json
import os
import shutil
import signal
import sys
import time
from functools import partial
from pathlib import Path

import fresh
import numpy as np
import pytest
import s3_server
from intake_faults import FAULTS, ODD
from intake_images import write_classes
from tiny_bundle import make_bundle, make_images
from tiny_project import TINY, Project

from benchmarks.processes import wait_for
from graft.errors import GraftError
from graft.store.s3 import S3Store
from pipeline.cluster import ray_cluster
from pipeline.cluster.batch import Batch
from pipeline.cluster.ray_cluster import spread
from pipeline.image_folder import image_folder
from pipeline.intake.fingerprint import Fingerprint
from pipeline.intake.listing import list_files
from pipeline.intake.scan import scan
from pipeline.intake.scan_cache import ScanCache


@pytest.fixture(scope="module")
def cluster():
    """Two machines of one core each, as far as Ray can tell."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster

        cluster = Cluster()
        for _ in range(2):
            cluster.add_node(num_cpus=1, object_store_memory=100_000_000, include_dashboard=False)
        session = cluster.head_node.get_session_dir_path()
        yield cluster.address
        cluster.shutdown()
        shutil.rmtree(session, ignore_errors=True)      # Ray keeps the logs of every session


@pytest.fixture
def address(cluster, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", cluster)
    return cluster


def collected(open_worker, chunks, **options) -> list:
    with spread(open_worker, chunks, **options) as answers:
        return list(answers)


def test_chunks_are_spread_over_both_workers_and_come_back_in_order(address):
    def open_worker():
        import uuid

        import graft

        opened = uuid.uuid4()

        def work(chunk):
            time.sleep(0.2 if chunk % 2 else 0)
            return chunk, opened, os.getpid(), graft.__file__

        return work

    numbers, opened, processes, code = zip(*collected(open_worker, range(12), whole_machine=True))
    assert numbers == tuple(range(12))
    assert len(set(processes)) == 2 == len(set(opened)) and os.getpid() not in processes
    assert not any(file.startswith(str(Path(ray_cluster.__file__).parent)) for file in code)     # it was sent along


def test_a_worker_that_is_killed_costs_time_alone(address, tmp_path):
    def work(killed: Path, chunk: int) -> int:
        if chunk == 3 and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return chunk * chunk

    opened = partial(partial, work, tmp_path / "killed")
    assert collected(opened, range(8)) == [number * number for number in range(8)]
    assert (tmp_path / "killed").exists()


def test_a_mistake_found_by_a_worker_is_the_same_message(address):
    def open_worker():
        raise GraftError("weights.h5: expected 3 layers, received 2")

    with pytest.raises(GraftError) as caught:
        collected(open_worker, range(3))
    assert type(caught.value) is GraftError and str(caught.value) == "weights.h5: expected 3 layers, received 2"


def test_whoever_stops_listening_leaves_no_work_behind(address, tmp_path):
    def work(folder: Path, chunk: int) -> int:
        (folder / str(chunk)).touch()
        time.sleep(0 if chunk == 0 else 600)
        return chunk

    before = signal.getsignal(signal.SIGTERM)
    with spread(partial(partial, work, tmp_path), range(100)) as answers:
        assert next(answers) == 0
    assert signal.getsignal(signal.SIGTERM) is before
    ray = ray_cluster._connected()
    wait_for(lambda: ray.available_resources().get("CPU") == 2)
    ray.shutdown()
    assert {path.name for path in tmp_path.iterdir()} <= {"0", "1", "2", "3"}


# readers wait for a source that does not answer any more when the first shard is there: five chunks have been sent
BATCH = fresh.ABANDONED + """
import sys
from pathlib import Path
from pipeline.cluster.batch import Batch

class Held(Batch):
    def _read(self, name):
        if name > "red/65.png":
            gate.wait()
        return super()._read(name)

def leave():
    batch = Held(images, output, bundle, shard_size=70)
    with batch.predict(batch.pending) as done:
        next(done)
        raise ValueError("an error whose traceback knows the iterator")

images, output, bundle = map(Path, sys.argv[1:])
images = str(images)
abandoned(leave)
import ray
print("ended", ray.is_initialized())
"""


def test_an_error_leaves_the_cluster_and_waits_for_no_reader(address, tmp_path):
    images, bundle = make_images(tmp_path / "images", images=70, spread=5), make_bundle(tmp_path / "bundle")
    assert fresh.run(BATCH, images, tmp_path / "out.csv", bundle, RAY_ADDRESS=address) == "ended False\n"


def test_workers_with_other_packages_are_refused(address, monkeypatch):
    here = ray_cluster._versions() | {"pillow": "1.0"}
    monkeypatch.setattr(ray_cluster, "_versions", lambda: here)
    with pytest.raises(GraftError, match=r"the Ray worker on .* has pillow [0-9.]+ instead of 1\.0, so its results"):
        collected(lambda: str, range(3))


def test_a_scan_finds_the_same(address, tmp_path, monkeypatch):
    write_classes(tmp_path / "images", {"good": 30})
    for name, (data, _) in (FAULTS | ODD).items():
        (tmp_path / "images" / "good" / name).write_bytes(data)
    (tmp_path / "images" / "good" / "gone.jpg").symlink_to("nowhere")

    def read(cache):
        images = tmp_path / "images"
        return scan(images, list_files(images), ScanCache(tmp_path / cache, images))

    spread_out = read("there")
    monkeypatch.delenv("RAY_ADDRESS")
    alone = read("here")
    assert alone.read == spread_out.read > 64 and alone.unreadable
    assert list(alone.fingerprints) == list(spread_out.fingerprints)
    assert (alone.unreadable, alone.stray) == (spread_out.unreadable, spread_out.stray)
    for one, other in zip(alone.fingerprints.values(), spread_out.fingerprints.values()):
        assert all(np.array_equal(getattr(one, name), getattr(other, name)) for name in Fingerprint.__slots__)


def test_batch_prediction_writes_the_same_bytes(address, tmp_path, monkeypatch):
    images, bundle = make_images(tmp_path / "images", images=50, spread=5), make_bundle(tmp_path / "bundle")
    (images / "broken.jpg").write_bytes(b"no image")
    (images / "gone.jpg").symlink_to("nowhere")
    written = []
    for _ in range(2):
        batch = Batch(str(images), tmp_path / "out.csv", bundle, shard_size=70)
        with batch.predict(batch.pending) as predicted:
            assert [shard.number for shard in predicted] == [1, 2, 3]
        parts = [shard.part.read_bytes() for shard in batch.shards]
        summary = batch.finish()
        written.append((parts, summary, batch.output.read_bytes()))
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert written[0] == written[1] and summary.images >= 151 and summary.unreadable


@pytest.fixture
def photos(ceph, tmp_path) -> str:
    """The address of images in a real S3 store, one of them broken and one empty, whose credentials no worker has."""
    images = make_images(tmp_path / "images", images=50, spread=5)
    (images / "broken.jpg").write_bytes(b"no image")
    (images / "empty.jpg").touch()
    bucket = ceph.removeprefix("s3://").partition("/")[0]
    for path in images.rglob("*.*"):
        s3_server.client().upload_file(str(path), bucket, f"photos/{path.relative_to(images)}")
    return f"s3://{bucket}/photos"


def test_workers_read_the_images_of_a_store_themselves(address, photos, tmp_path, monkeypatch):
    written, bundle = [], make_bundle(tmp_path / "bundle")
    for _ in range(2):
        batch = Batch(photos, tmp_path / "out.csv", bundle, shard_size=70)
        with monkeypatch.context() as patch, batch.predict(batch.pending) as predicted:
            if not written:
                patch.delattr(S3Store, "read")
            assert len(list(predicted)) == len(batch.shards)
        written.append(batch.finish())
        written.append(batch.output.read_bytes())
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert written[:2] == written[2:] and written[0].images >= 151 and written[0].unreadable == 2


def test_workers_scan_the_images_of_a_store_themselves(address, photos, tmp_path, monkeypatch):
    images = image_folder(photos)
    with monkeypatch.context() as patch:
        patch.delattr(S3Store, "read")
        there = scan(images, list_files(images), ScanCache(tmp_path / "there", images))
    monkeypatch.delenv("RAY_ADDRESS")
    here = scan(images, list_files(images), ScanCache(tmp_path / "here", images))
    assert here.read == there.read > 64 and here.stray == there.stray
    assert [(file, each.sha256) for file, each in here.fingerprints.items()] == [
        (file, each.sha256) for file, each in there.fingerprints.items()]


def test_an_object_that_is_gone_is_named_and_a_bucket_that_is_gone_ends_the_run(address, photos, tmp_path):
    batch = Batch(photos, tmp_path / "out.csv", make_bundle(tmp_path / "bundle"), shard_size=70)
    bucket, client = photos.removeprefix("s3://").partition("/")[0], s3_server.client()
    first, second = batch.pending[0].names[0], batch.pending[1:]
    client.delete_object(Bucket=bucket, Key=f"photos/{first}")
    with batch.predict(batch.pending[:1]) as predicted:
        list(predicted)
    assert '"error": "no such object any more"' in batch.shards[0].part.read_text().splitlines()[0]
    for each in client.list_objects_v2(Bucket=bucket)["Contents"]:
        client.delete_object(Bucket=bucket, Key=each["Key"])
    client.delete_bucket(Bucket=bucket)
    with (pytest.raises(GraftError, match=r"the Ray worker on .* cannot read from 127.0.0.1:\d+: NoSuchBucket"),
          batch.predict(second) as predicted):
        list(predicted)
    assert batch.pending == second


def test_the_stages_write_the_same_bytes(address, project, tmp_path):
    """`validate` and `extract` with nothing in their caches: tables, report, weights, and the shards of the levels."""
    there = Project(tmp_path / "there", **TINY)
    for folder in ("data/tiny", "outputs/split"):
        shutil.copytree(project.folder / folder, there.folder / folder)
    code = "from tasks import code, extract, validate; code.main(); validate.main(); extract.main()"
    there.run("python", "-c", code, RAY_ADDRESS=address)
    levels = json.loads((project.folder / "outputs/extract/levels.json").read_text())["folder"]
    for folder in ("outputs/validate", "outputs/extract", f".graft/activations/{levels}"):
        names = [str(path.relative_to(project.folder)) for path in (project.folder / folder).rglob("*.*")]
        _, different, missing = filecmp.cmpfiles(project.folder, there.folder, names, shallow=False)
        assert len(names) >= 2 and not different and not missing, folder


@pytest.mark.parametrize("machines, whole_machine, gpu, expected", [
    ([], False, False, ({"num_cpus": 1}, 1)),
    ([{"CPU": 4}, {"CPU": 2}, {}], False, False, ({"num_cpus": 1}, 6)),
    ([{"CPU": 4}, {"CPU": 2}, {}], True, True, ({"num_cpus": 2}, 3)),
    ([{"CPU": 4}, {"CPU": 8, "GPU": 2}], True, True, ({"num_cpus": 1, "num_gpus": 1}, 2)),
    ([{"CPU": 4}, {"CPU": 8, "GPU": 2}], True, False, ({"num_cpus": 4}, 3)),
])
def test_what_a_worker_is_given(machines, whole_machine, gpu, expected):
    nodes = [{"Alive": True, "Resources": each} for each in machines]
    gone = {"Alive": False, "Resources": {"CPU": 1, "GPU": 1}}
    assert ray_cluster._places([*nodes, gone], whole_machine, gpu) == expected


def test_without_ray_the_variable_is_explained(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(GraftError, match="RAY_ADDRESS is 'auto', but Ray is not installed here"):
        collected(lambda: str, range(3))
