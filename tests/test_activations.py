import hashlib
import importlib.util
import os
import signal
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
from full_disk import full_disk
from PIL import Image

from graft.errors import GraftError
from graft.images import read_image
from pipeline.training import activations, backbones, examples
from pipeline.training.augmentation import augment, generator
from pipeline.training.random_weights import scale_random_weights
from pipeline.views import View
from tasks.extract import ExtractParams, load_backbone
from tasks.params import read_params

OPENVINO = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed")
AUGMENTATION = {"rotation_degrees": 20, "shift": 0.1, "brightness": 0.2}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    keras.utils.set_random_seed(1)
    network = backbones.build("MobileNetV2", (32, 32), 0.35)
    scale_random_weights(network, np.random.default_rng(1).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8))
    path = tmp_path_factory.mktemp("weights") / "b.weights.h5"
    network.save_weights(path)
    return path


@pytest.fixture
def data(tmp_path, weights):
    """12 images of two classes in three splits, and how to open them."""
    rows = []
    for number in range(12):
        path = tmp_path / "images" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(path)
        split = ("train", "train", "val", "test")[number % 4]
        rows.append({"path": path.name, "label": "ab"[number % 2], "split": split, "views": 3 * (split == "train"),
                     "sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
    part = {"name": "MobileNetV2", "alpha": 0.35, "image_size": [32, 32], "weights": "none", "cut": "block_2_add",
            "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(), "precision": "float32",
            "augmentation": AUGMENTATION, "seed": 1}

    def open_again(cache="cache", cache_gigabytes=1.0, **changes):
        return examples.open_dataset({**part, **changes}, weights, pd.DataFrame(rows), tmp_path / "images",
                                     tmp_path / cache, cache_gigabytes)

    return open_again


def direct(dataset, view):
    """The activation by the plain formula: one image, one view, the network in one call."""
    image = read_image(dataset.splits["train"].activations.images / view.path, (32, 32))
    if view.number:
        image = augment(image, generator(1, view.sha256, view.number), **AUGMENTATION)
    frozen, _ = dataset.models()
    return np.asarray(frozen(image[None]))[0]


def test_what_is_cached_is_what_the_network_says(data):
    dataset = data()
    dataset.fill()
    train = dataset.splits["train"]
    views = [train.view(0, 0), train.view(1, 1), View(train.paths[2], train.sha256s[2])]
    rows = train.activations.batch(views)
    for view, row in zip(views, rows):
        assert np.allclose(row, direct(dataset, view), atol=1e-2)


@OPENVINO
@pytest.mark.parametrize("cut", ["block_2_add", backbones.LEVELS])
def test_openvino_gives_what_keras_gives(data, cut):
    """In float32, maps and vectors, up to float16's rounding: its largest step is 2 ** -11 of a number."""
    views = data().splits["train"].all_views()
    by_keras, by_openvino = (data(cut=cut, engine=engine).splits["train"].activations.batch(views)
                             for engine in ("keras", "openvino"))
    assert by_openvino.dtype == np.float16 and by_openvino.shape == by_keras.shape
    assert np.allclose(by_openvino, by_keras, rtol=1e-3, atol=1e-5)


@OPENVINO
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_openvino_gives_a_row_whatever_its_neighbours_are(data, precision):
    """Of more batches than it has requests, in order; of a part of them, filled up; and once more."""
    views = data().splits["train"].all_views() * 12
    opened = [data(engine="openvino", precision=precision).splits["train"].activations for _ in range(2)]
    rows = opened[0].batch(views)
    assert np.array_equal(rows, opened[1].batch(views))
    assert np.array_equal(rows, np.concatenate([rows[: len(rows) // 12]] * 12))
    assert np.array_equal(opened[0].batch(views[3:10]), rows[3:10])


@OPENVINO
def test_openvino_rounds_no_more_than_keras_in_bfloat16(data):
    def rows(**how):
        train = data(cut=backbones.LEVELS, **how).splits["train"]
        found = train.activations.batch(train.all_views()).astype(float)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    exact, by_keras = rows(), rows(precision="mixed_bfloat16")
    by_openvino = rows(precision="mixed_bfloat16", engine="openvino")
    error = [1 - (each * exact).sum(axis=1).mean() for each in (by_keras, by_openvino)]
    assert error[1] < 1.5 * error[0] and error[0] < 1e-2


def test_a_damaged_row_is_computed_again(data, tmp_path, capsys):
    data().fill()
    dataset = data()
    train = dataset.splits["train"]
    views = [train.view(0, 0), train.view(1, 1)]
    rows = data().splits["train"].activations.batch(views)
    [shard] = train.activations.shards.folder.glob("*.npy")
    content = shard.read_bytes()
    shard.write_bytes(content[:300] + bytes([content[300] ^ 64]) + content[301:])
    assert np.array_equal(train.activations.batch(views), rows)
    assert f"{shard}: damaged, so it is made again" in capsys.readouterr().out
    data().fill()
    assert shard.read_bytes() == content


def test_over_budget_the_same_numbers_come_without_a_cache(data, tmp_path, capsys):
    cached, live = data(), data(cache="other", cache_gigabytes=0.0)
    cached.fill()
    live.fill()
    assert "do not fit beside what is in use: extract.cache_gigabytes is 0" in capsys.readouterr().out
    assert not list((tmp_path / "other").rglob("*.npy"))
    indices = np.arange(4)
    assert np.array_equal(cached.splits["train"].batch(indices, 1), live.splits["train"].batch(indices, 1))


def test_a_disk_that_takes_no_more_ends_the_caching_and_not_the_run(data, capsys):
    dataset, fresh = data(), data(cache="fresh").splits["train"]
    with full_disk(1000):
        dataset.fill()
    assert capsys.readouterr().out.count("File too large, so caching ends. What is not cached is computed each") == 1
    assert not list(dataset.splits["train"].activations.shards.folder.glob("*[!k]"))
    indices = np.arange(4)
    assert np.array_equal(dataset.splits["train"].batch(indices, 1), fresh.batch(indices, 1))


def test_the_limit_is_that_of_all_folders(data, tmp_path):
    data().fill()
    used_bytes = sum(file.stat().st_size for file in tmp_path.glob("cache/*/*.npy"))
    other = data(seed=2, cut="block_4_add", cache_gigabytes=1.5 * used_bytes / 1e9)
    other.fill()
    [folder] = {file.parent for file in tmp_path.glob("cache/*/*.npy")}
    assert folder == other.splits["train"].activations.shards.folder


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="other backends have no such setting")
@pytest.mark.parametrize("compute", ["activations", "backbone"])
def test_all_that_is_cached_is_computed_by_deterministic_operations(data, tmp_path, compute):
    from tensorflow.python.framework import config

    config.disable_op_determinism()
    train = data().splits["train"]
    if compute == "activations":
        train.activations.batch(train.all_views()[:1])
    else:
        extract = read_params("extract", ExtractParams)
        extract = replace(extract, backbone=replace(extract.backbone, weights="none", image_size=(32, 32)))
        load_backbone(extract, pd.DataFrame({"path": train.paths, "split": "train"}), tmp_path / "images")
    assert config.is_op_determinism_enabled()


def test_a_grown_data_set_computes_only_what_is_new(data):
    first = data().splits["train"]
    half = first.all_views()[: len(first.all_views()) // 2]
    assert first.activations.fill(half) == len(half)
    again = data().splits["train"]
    assert again.activations.fill(again.all_views()) == len(again.all_views()) - len(half)
    assert data().splits["train"].activations.fill(first.all_views()) == 0


@pytest.mark.parametrize("change", [
    {"cut": "block_4_add"}, {"seed": 2}, {"augmentation": {"shift": 0.2}}, {"precision": "mixed_bfloat16"},
    pytest.param({"engine": "openvino"}, marks=OPENVINO)])
def test_another_function_is_another_cache(data, change):
    data().fill()
    train = data(**change).splits["train"]
    assert train.activations.fill(train.all_views()) == len(train.all_views())


def test_plain_views_do_not_depend_on_the_augmentation(data):
    data().fill()
    val = data(augmentation={"shift": 0.3}).splits["val"]
    assert val.activations.fill(val.all_views()) == 0


def test_a_row_is_the_same_whatever_stands_beside_it(data):
    """Batches are always full: what is computed alone equals what is computed among others, to the bit."""
    train = data().splits["train"]
    views = train.all_views()
    together = train.activations.batch(views)
    for place in (0, 7, len(views) - 1):
        assert np.array_equal(train.activations.batch([views[place]])[0], together[place])


def test_each_epoch_sees_each_image_in_another_view(data):
    train = data().splits["train"]
    seen = {epoch: [train.view(index, epoch).number for index in range(len(train))] for epoch in range(3)}
    for numbers in zip(*seen.values()):
        assert sorted(numbers) == [1, 2, 3]


def test_an_image_that_changed_since_it_was_validated_is_told(data, tmp_path):
    dataset = data()
    path = tmp_path / "images" / dataset.splits["train"].paths[0]
    Image.new("RGB", (40, 50)).save(path)
    with pytest.raises(GraftError, match=f"{path.name} has changed since"):
        dataset.fill()
    path.write_bytes(b"")
    with pytest.raises(GraftError, match="could be read when the data were validated, but not now: empty file"):
        dataset.fill()


def test_vectors_are_the_top_of_the_activations(data):
    dataset = data()
    _, top = dataset.models()
    train = dataset.splits["train"]
    made = examples.vectors(top, train)
    assert made.features.shape == (len(train), 3, 1280)
    rows = train.activations.batch([train.view(4, epoch) for epoch in range(3)]).astype(np.float32)
    numbers = [train.view(4, epoch).number - 1 for epoch in range(3)]
    assert np.allclose(made.features[4][numbers], np.asarray(top(rows)), atol=1e-5)


def test_a_killed_run_leaves_only_whole_shards(data, monkeypatch):
    train = data().splits["train"]
    monkeypatch.setattr(activations, "SHARD_BYTES", 1)          # a batch a shard
    original = activations.Activations._run

    def run_and_die(self, batches):
        yield next(original(self, batches))
        raise KeyboardInterrupt

    views = [View(path, sha256, number) for path, sha256 in zip(train.paths, train.sha256s) for number in range(8)]
    monkeypatch.setattr(activations.Activations, "_run", run_and_die)
    with pytest.raises(KeyboardInterrupt):
        train.activations.fill(views)
    monkeypatch.setattr(activations.Activations, "_run", original)
    again = data().splits["train"].activations
    assert again.fill(views) == len(views) - activations.BATCH_SIZE
    assert np.array_equal(again.batch(views), data(cache="fresh").splits["train"].activations.batch(views))


def test_sigterm_keeps_what_was_computed(data, monkeypatch, capsys):
    train = data().splits["train"]
    original, left = activations.Activations._run, [1]

    def run_and_tell(self, images):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, images)

    views = [View(path, sha256, number) for path, sha256 in zip(train.paths, train.sha256s) for number in range(8)]
    monkeypatch.setattr(activations.Activations, "_run", run_and_tell)
    with pytest.raises(SystemExit) as left_with:
        train.activations.fill(views)
    assert left_with.value.code == 128 + signal.SIGTERM
    monkeypatch.setattr(activations.Activations, "_run", original)
    again = data().splits["train"].activations
    assert again.fill(views) == len(views) - activations.BATCH_SIZE
    assert f"{len(views) - activations.BATCH_SIZE:,} views to compute" in capsys.readouterr().out
    data(cache="fresh").splits["train"].activations.fill(views)
    assert "activations: about " in capsys.readouterr().out        # how long, once there was a batch to time


def test_cut_at_the_images_the_whole_network_is_trained_and_nothing_cached(data, tmp_path, capsys):
    dataset = data(cut="images")
    dataset.fill()
    assert "nothing is cached" in capsys.readouterr().out
    assert not list((tmp_path / "cache").rglob("*.npy"))
    train = dataset.splits["train"]
    image = read_image(train.activations.images / train.paths[0], (32, 32))
    view = train.view(0, 0)
    assert np.array_equal(train.batch(np.array([0]), 0)[0], augment(image, generator(1, view.sha256, view.number),
                                                                    **AUGMENTATION))
    _, top = dataset.models()
    assert len(top.trainable_variables) == len(backbones.build("MobileNetV2", (32, 32), 0.35).trainable_variables)


def test_other_code_is_another_cache(data, monkeypatch):
    data().fill()
    monkeypatch.setattr(activations, "digest_of", lambda *modules: "another")
    train = data().splits["train"]
    assert train.activations.fill(train.all_views()) == len(train.all_views())
