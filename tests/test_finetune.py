"""The stage's own functions on activations drawn at random; the whole stage runs in test_end_to_end.py."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from pipeline.training import backbones, backend, heads
from pipeline.training.examples import Vectors
from pipeline.training.random_weights import scale_random_weights
from tasks import tuning
from tasks.params import read_params

HEAD = {"hidden_units": 8, "dropout": 0.1}


@pytest.fixture
def dataset(tmp_path):
    """16 images as activations of MobileNetV2 at block_12_add, and a head as transfer leaves it."""
    backend.make_deterministic(1)
    network = backbones.build("MobileNetV2", (32, 32), 0.35)
    scale_random_weights(network, np.random.default_rng(1).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8))
    network.save_weights(tmp_path / "backbone.weights.h5")

    def models(precision="float32"):
        with backend.precision(precision):
            again = backbones.build("MobileNetV2", (32, 32), 0.35)
        again.load_weights(tmp_path / "backbone.weights.h5")
        with backend.precision(precision):
            return backbones.split(again, "block_12_add")

    _, top = models()
    weights = heads.build_head(top.output.shape[-1], 2, **HEAD).get_weights()
    features = np.random.default_rng(2).normal(size=(16, 1, *top.input.shape[1:])).astype(np.float32)
    examples = Vectors(features, np.arange(16) % 2)
    return SimpleNamespace(models=models, head=weights, part=SimpleNamespace(precision="mixed_bfloat16"),
                           class_names=["a", "b"], splits={"train": examples, "val": examples})


def tuned(dataset, tmp_path, **changes):
    params = read_params("finetune", tuning.FinetuneParams)
    values = {**vars(params), "epochs": 2, "batch_size": 8, "learning_rate": 1e-3, **changes}
    models = tuning.build_model(dataset, HEAD, dataset.head)
    before = {each.path: np.array(each) for model in models for each in model.variables}
    splits = dataset.splits
    progress, _ = tuning.fit_model(models, splits["train"], splits["val"], tuning.FinetuneParams(**values),
                                     tmp_path / "c.npz")
    (tmp_path / "c.npz").unlink(missing_ok=True)
    return models, before, progress


def test_batch_normalization_keeps_its_statistics_to_the_bit_and_the_rest_learns(dataset, tmp_path):
    (model, top, head), before, progress = tuned(dataset, tmp_path)
    assert progress.best_epoch == 1                 # the last
    after = {each.path: np.array(each) for part in (top, head) for each in part.variables}
    statistics = [path for path in before if "moving_" in path]
    assert len(statistics) == 2 * 13                # four blocks of three, and the last convolution's
    assert all(np.array_equal(before[path], after[path]) for path in statistics)
    kernels = [each.path for each in model.trainable_variables if each.path.endswith("kernel")]
    assert all(not np.array_equal(before[path], after[path]) for path in kernels)
    assert all(each.dtype == "float32" for each in model.trainable_variables)       # only the arithmetic is in 16 bit


def test_a_lower_block_moves_less_where_the_rate_decays_from_block_to_block(dataset, tmp_path):
    def moved(layer_decay):
        (model, top, _), before, _ = tuned(dataset, tmp_path, layer_decay=layer_decay, optimizer="adam")
        kernels = [each for each in top.trainable_variables if each.path.endswith("kernel")]
        return np.abs(np.array(kernels[0]) - before[kernels[0].path]).mean()

    assert moved(0.3) < 0.2 * moved(1.0)


def test_mixed_precision_is_close_to_float32(dataset, tmp_path):
    inputs = dataset.splits["val"].features[:, 0]
    half = tuning.build_model(dataset, HEAD, dataset.head)[0]
    dataset.part.precision = "float32"
    full = tuning.build_model(dataset, HEAD, dataset.head)[0]
    assert keras.config.dtype_policy().name == "float32"
    expected = np.asarray(full(inputs))
    assert np.abs(np.asarray(half(inputs)) - expected).max() < 0.05 * np.abs(expected).max()
