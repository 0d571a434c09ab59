"""The formulas of the starter backbone's pictures, a few steps of its training, and the weights that ship."""

import hashlib
from itertools import combinations
from pathlib import Path

import keras
import numpy as np
import pytest
from ruamel.yaml import YAML

from graft.errors import GraftError
from pipeline.code import ROOT, imported_files
from pipeline.training import backbones, weights
from starter import shapes, textures
from starter.generate import NONE, PARAMS, Formulas, GenerateParams, generate
from starter.train import PhaseParams, TrainParams, answers, build_model, compile_model, save_half, train
from tasks.params import read_params

FEW = dict.fromkeys(shapes.FAMILIES, 3), dict.fromkeys(textures.FAMILIES, 2)


@pytest.fixture(scope="module")
def few() -> Formulas:
    return Formulas(*FEW, seed=7)


@pytest.fixture(scope="module")
def every() -> Formulas:
    """The classes that the shipped weights were trained on."""
    params = read_params("generate", GenerateParams, PARAMS)
    return Formulas(params.shapes, params.textures, params.seed)


def nearest_mean_accuracy(rows: np.ndarray) -> float:
    """Of `(classes, instances, numbers)`: the means of the classes' first halves classify the second halves."""
    half = rows.shape[1] // 2
    means, others = rows[:, :half].mean(axis=1), rows[:, half:]
    distances = np.linalg.norm(others[:, :, None] - means, axis=3)
    return float((distances.argmin(axis=2) == np.arange(len(rows))[:, None]).mean())


def test_a_picture_depends_on_the_seed_and_its_number_alone(few):
    again = Formulas(*FEW, seed=7)
    for number in (9, 0, 4):
        for first, second in zip(few.picture(number, 48), again.picture(number, 48)):
            assert np.array_equal(first, second)
    assert not np.array_equal(few.picture(0, 48)[0], few.picture(1, 48)[0])
    assert not np.array_equal(few.picture(0, 48)[0], Formulas(*FEW, seed=8).picture(0, 48)[0])


def test_any_number_of_processes_makes_the_same_pictures(few):
    made = generate(few, images=5, size_px=32, processes=2)
    for number in range(5):
        picture, mask, shape, texture = few.picture(number, 32)
        assert np.array_equal(made.pictures[number], picture)
        assert np.array_equal(made.masks[number], mask)
        assert made.labels[number].tolist() == [shape, texture]


def test_every_class_appears_and_a_mask_marks_the_object(few):
    pictures = [few.picture(number, 64) for number in range(300)]
    assert {shape for _, _, shape, _ in pictures} == {NONE, *range(12)}
    assert {texture for _, _, _, texture in pictures} == {NONE, *range(10)}
    for _, mask, shape, _ in pictures:
        assert (mask.max() > 100) == (shape != NONE)


def test_no_two_classes_are_alike(every):
    assert (len(every.shapes), len(every.textures)) == (400, 140)
    upright = np.stack([shapes.prototype(shape) for shape in every.shapes])
    correlations = np.corrcoef(upright)
    assert correlations[~np.eye(len(upright), dtype=bool)].max() < 0.9
    described = [textures.descriptor(tiles[0]) for tiles in every.textures]
    assert min(np.linalg.norm(a - b) for a, b in combinations(described, 2)) > 0.35


def test_shapes_are_told_apart_by_their_masks(every):
    random = np.random.default_rng(1)
    chosen = every.shapes[::8]
    masks = [[shapes.instance(shape, random, 24).ravel() / 255.0 for _ in range(24)] for shape in chosen]
    assert nearest_mean_accuracy(np.array(masks)) > 10 / len(chosen)       # ten times chance, by the plainest means


def test_textures_are_told_apart_by_their_edges(every):
    random = np.random.default_rng(1)
    chosen = every.textures[::4]
    patches = [[textures.descriptor(textures.patch(tiles, random, 96)) for _ in range(16)] for tiles in chosen]
    assert nearest_mean_accuracy(np.array(patches)) > 10 / len(chosen)


def test_answers_are_what_the_picture_was_made_from(few):
    data = generate(few, images=40, size_px=32, processes=1)
    _, model = build_model(32, 0.35, (12, 10), data.descriptors.shape[1])
    expected, has_answer = answers(data, np.arange(40), model.output)
    assert set(expected) == set(has_answer) == set(model.output)
    with_shape = data.labels[:, 0] != NONE
    assert np.array_equal(has_answer["shape_end"] == 1, with_shape)
    assert np.array_equal(expected["shape_end"].argmax(axis=1)[with_shape], data.labels[with_shape, 0])
    assert expected["mask_fine"].shape == (40, 16)
    assert expected["mask_fine"].mean() == pytest.approx(data.masks.mean() / 255, abs=0.01)


def test_training_moves_all_weights_and_half_precision_keeps_them(few, tmp_path, monkeypatch):
    def eagerly(model, *arguments):
        compile_model(model, *arguments)
        model.run_eagerly = True        # to compile the graph takes far longer than three steps

    monkeypatch.setattr("starter.train.compile_model", eagerly)
    phase = PhaseParams(size_px=32, batch_size=16, steps=3, learning_rate=1e-2)
    params = TrainParams(alpha=0.35, phases=[phase], weight_decay=0.0, label_smoothing=0.0, seed=1)
    keras.utils.set_random_seed(1)
    before = backbones.build("MobileNetV2", (32, 32), 0.35).get_weights()
    keras.utils.set_random_seed(1)
    network, metrics = train(params, generate(few, images=64, size_px=32, processes=1))
    assert np.isfinite(metrics[0]["loss"])
    assert all(not np.array_equal(old, new) for old, new in zip(before, network.get_weights()))
    save_half(network, tmp_path / "b.weights.h5")
    loaded = weights.load_backbone("MobileNetV2", (32, 32), 0.35, str(tmp_path / "b.weights.h5"))
    for whole, half in zip(network.get_weights(), loaded.get_weights()):
        assert np.allclose(whole, half, rtol=1e-3, atol=1e-6)
    first = (tmp_path / "b.weights.h5").read_bytes()
    save_half(network, tmp_path / "b.weights.h5")
    assert (tmp_path / "b.weights.h5").read_bytes() == first


def test_the_shipped_weights_are_the_ones_that_the_code_names():
    data = weights.STARTER.read_bytes()
    assert len(data) <= 2_000_000
    assert hashlib.sha256(data).hexdigest() == weights.STARTER_SHA256
    network = weights.load_backbone("MobileNetV2", (96, 96), 0.35, "starter")
    assert all(np.isfinite(each).all() for each in network.get_weights())
    variances = [layer.moving_variance for layer in network.layers if hasattr(layer, "moving_variance")]
    assert len(variances) == 52
    assert all(float(keras.ops.min(each)) >= 0 for each in variances)


def test_changed_weights_are_refused_before_they_are_opened(tmp_path, monkeypatch):
    changed = tmp_path / "starter.weights.h5"
    changed.write_bytes(b"no HDF5 at all")
    monkeypatch.setattr(weights, "STARTER", changed)
    with pytest.raises(GraftError) as caught:
        weights.load_backbone("MobileNetV2", (96, 96), 0.35, "starter")
    assert weights.STARTER_SHA256 in str(caught.value)
    assert hashlib.sha256(b"no HDF5 at all").hexdigest() in str(caught.value)


@pytest.mark.parametrize(("name", "alpha"), [("MobileNetV2", 1.0), ("ResNet50", None)])
def test_another_network_cannot_have_the_starter_weights(name, alpha):
    with pytest.raises(GraftError, match="'starter' cannot be loaded(.|\n)*MobileNetV2 with alpha 0.35"):
        weights.load_backbone(name, (96, 96), alpha, "starter")


@pytest.mark.parametrize("name", ["generate", "train", "evaluate"])
def test_dvc_knows_all_the_code_of_a_stage(name):
    stages = YAML(typ="safe").load((ROOT / "starter" / "dvc.yaml").read_text())["stages"]
    code = {each for each in stages[name]["deps"] if each.endswith(".py")}
    assert code == {file.as_posix() for file in imported_files(Path(f"starter/{name}.py"))}
