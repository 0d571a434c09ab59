"""DINOv2 of two blocks and random weights; the oracles are KerasHub's own network, and NumPy."""

import os

import keras
import numpy as np
import onnxruntime
import pytest

from graft.errors import GraftError
from graft.model import openvino
from pipeline import hardware
from pipeline.training import backbones, backend, blocks, dinov2, heads, onnx_file, pooling
from pipeline.training.arithmetic import multiplications
from pipeline.training.frozen import FrozenPart
from pipeline.training.imagenet import write_bundle
from pipeline.training.weights import licence, load_backbone

keras_hub = pytest.importorskip("keras_hub", reason="KerasHub is not installed: run `make setup`")
NAME, SIDE = "DINOv2Small", 56
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)      # of ImageNet's pixels, 0 to 1


def images(count: int = 3, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.fixture(scope="module", autouse=True)
def two_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dinov2, "BLOCKS", 2)
        yield


@pytest.fixture(scope="module")
def theirs():
    """KerasHub's network with random weights: as built, many are zeros and ones."""
    keras.utils.set_random_seed(1)
    network = dinov2.network(NAME, input_shape=(SIDE, SIDE, 3))
    random = np.random.default_rng(1)
    network.set_weights([each + random.normal(0, 0.05, each.shape) for each in network.get_weights()])
    return network


@pytest.fixture(scope="module")
def preset(theirs, tmp_path_factory):
    """The folder in which KerasHub keeps it. It saves position embeddings for images of 518 pixels alone."""
    folder = tmp_path_factory.mktemp("preset")
    theirs.save_to_preset(str(folder))
    theirs.load_weights(folder / dinov2.WEIGHTS_FILE)
    return folder


@pytest.fixture(scope="module")
def network(preset):
    return load_backbone(NAME, (SIDE, SIDE), None, str(preset))


def test_the_whole_network_is_as_large_as_kerashub_says():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dinov2, "BLOCKS", 12)
        for name in dinov2.HEADS:
            preset = keras_hub.models.DINOV2Backbone.presets[f"dinov2_{name[6:].lower()}"]
            assert backbones.build(name, (518, 518)).count_params() == preset["metadata"]["params"]


def test_every_block_gives_what_kerashub_gives(theirs, network):
    ends = ["embeddings", "block_1", "layernorm"]
    assert blocks.block_ends(network) == ends
    scaled = ((images() / 255 - MEAN) / DEVIATION).astype(np.float32)
    outputs = [*[theirs.pyramid_outputs[key] for key in ("stem", "stage1")], theirs.output]
    expected = keras.Model(theirs.input, outputs).predict_on_batch({"images": scaled})
    found = keras.Model(network.input, [network.get_layer(end).output for end in ends]).predict_on_batch(images())
    assert all(np.allclose(a, b, atol=1e-5 * np.abs(b).max()) for a, b in zip(found, expected))


def test_cut_in_two_and_pooled_it_is_the_whole(network):
    """Pooled by hand: the token of the class beside the mean of all others."""
    tokens = network.predict_on_batch(images())
    expected = np.concatenate([tokens[:, 0], tokens[:, 1:].mean(axis=1)], axis=1)
    frozen, top = backbones.split(network, "block_1")
    assert np.allclose(top.predict_on_batch(frozen.predict_on_batch(images())), expected, atol=1e-5)
    found = backbones.pooled(network, ["embeddings", "layernorm"]).predict_on_batch(images())
    assert np.allclose(found[:, 768:], expected, atol=1e-5)
    assert list(backbones.level_units(network).values()) == [768] * 3
    assert backbones.pooled(network).output.shape[1:] == (3 * 768,)


def test_only_kernels_count_as_arithmetic(network):
    patches = (SIDE // 14) ** 2
    block = 4 * 384**2 + 2 * 384 * 1536         # attention's four matrices, and two dense layers
    assert multiplications(network) == (patches + 1) * (2 * block + 14 * 14 * 3 * 384)


def test_onnx_and_openvino_say_what_keras_says(preset, tmp_path, side=70):
    network = load_backbone(NAME, (side, side), None, str(preset / dinov2.WEIGHTS_FILE))
    frozen, top = backbones.split(network, "block_1")
    model = heads.whole_model(frozen, top, heads.build_head(top.output.shape[-1], 3, 8, 0.2))
    onnx_file.write_onnx(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    in_openvino = openvino.load().Core().compile_model(tmp_path / "model.onnx", "CPU",
                                                       {"INFERENCE_PRECISION_HINT": "f32"})
    for count in (3, 1):
        expected = model.predict_on_batch(images(count, side))
        for name in ("logits", "features"):
            found = session.run([name], {"images": images(count, side)})[0], in_openvino(images(count, side))[name]
            assert all(np.allclose(each, expected[name], atol=1e-5 * np.abs(expected[name]).max()) for each in found)


@pytest.mark.parametrize(("cut", "shape"), [("block_1", (17, 384)), (backbones.LEVELS, (3 * 768,))])
def test_both_engines_give_the_same_activations(cut, shape, network, tmp_path):
    network.save_weights(tmp_path / "b.weights.h5")
    batch, rows, engines = images(4), {}, [("keras", "float32"), ("openvino", "float32")]
    for engine, precision in [*engines, ("openvino", "mixed_bfloat16")][:2 + (cut == backbones.LEVELS)]:
        part = FrozenPart(NAME, None, (SIDE, SIDE), "", "", cut, precision, {}, 1, engine=engine)
        rows[engine, precision] = next(iter(part.opened(tmp_path / "b.weights.h5").run([batch]))).astype(np.float32)
    expected = rows.pop(("keras", "float32"))
    assert expected.shape == (4, *shape)
    for (_, precision), found in rows.items():
        tolerance = 2e-3 if precision == "float32" else 3e-2
        assert np.allclose(found, expected, atol=tolerance * np.abs(expected).max())


def test_the_blocks_above_a_cut_learn_and_those_below_do_not(network):
    frozen, top = backbones.split(network, "block_1")
    model = heads.trainable_model(top, heads.build_head(768, 2, 0, 0))
    before = [each.copy() for each in network.get_weights()]
    with backend.precision("float32"):
        model.compile(keras.optimizers.SGD(0.1), keras.losses.CategoricalCrossentropy(from_logits=True))
    model.train_on_batch(frozen.predict_on_batch(images()), np.eye(2)[[0, 1, 1]])
    moved = {variable.path.split("/")[0] for variable, old in zip(network.weights, before)
             if not np.array_equal(np.array(variable), old)}
    network.set_weights(before)
    assert moved == {"block_2", "layernorm"}
    assert {"block_2/norm1/gamma", "layernorm/beta"} <= {each.path for each in model.trainable_variables}


@pytest.mark.parametrize(("weights", "reason"), [
    ("empty", "there is no model.weights.h5 in it"), ("nowhere", "there is no such file"),
    ("cut", "it does not fit DINOv2Small"), ("of base", "it does not fit DINOv2Small"), ("imagenet", "there are none"),
])
def test_weights_that_are_not_its_own_are_one_message(weights, reason, preset, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / dinov2.WEIGHTS_FILE).write_bytes((preset / dinov2.WEIGHTS_FILE).read_bytes()[:1_000_000])
    if weights == "of base":
        (tmp_path / weights).mkdir()
        dinov2.network("DINOv2Base", input_shape=(14, 14, 3)).save_weights(tmp_path / weights / dinov2.WEIGHTS_FILE)
    path = weights if weights == "imagenet" else str(tmp_path / weights)
    with pytest.raises(GraftError) as caught:
        load_backbone(NAME, (SIDE, SIDE), None, path)
    assert f"weights: '{path}' cannot be loaded. Tried " in str(caught.value) and reason in str(caught.value)
    assert "- weights: dinov2 (" in str(caught.value) and "- weights: none" in str(caught.value)


def test_published_weights_come_from_the_cache_without_a_network(preset, tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")     # nobody listens there
    with pytest.raises(GraftError, match="^weights: 'dinov2' cannot be loaded. Tried KaggleHub's cache"):
        load_backbone(NAME, (SIDE, SIDE), None, "dinov2")
    folder = tmp_path / "models/keras/dinov2/keras/dinov2_small"
    (folder / "1").mkdir(parents=True, exist_ok=True)
    (folder / ".complete/1").mkdir(parents=True)
    (folder / ".complete/1" / f"{dinov2.WEIGHTS_FILE}.complete").touch()
    (folder / "1" / dinov2.WEIGHTS_FILE).symlink_to(preset / dinov2.WEIGHTS_FILE)
    loaded = load_backbone(NAME, (SIDE, SIDE), None, "dinov2")
    expected = load_backbone(NAME, (SIDE, SIDE), None, str(preset))
    assert all(np.array_equal(a, b) for a, b in zip(loaded.get_weights(), expected.get_weights()))
    assert licence(NAME, "dinov2") == {"name": "Apache-2.0", "source": "https://github.com/facebookresearch/dinov2"}
    assert licence(NAME, str(preset)) is None


@pytest.mark.parametrize("size", [(225, 225), (224, 238), (0, 0)])
def test_all_that_does_not_fit_is_told_at_once(size, monkeypatch):
    monkeypatch.setattr(dinov2, "version", lambda name: "0.31.0")
    with pytest.raises(GraftError) as caught:
        backbones.check(NAME, size, 1.0)
    assert all(part in str(caught.value) for part in (
        "alpha: expected null", "name: DINOv2Small needs the package keras-hub 0.32.0, but 0.31.0 is installed. Run `",
        "image_size: expected a square whose side is a multiple of 14 pixels for DINOv2Small, such as [224, 224]"))


def test_it_has_no_classes_of_imagenet(tmp_path):
    with pytest.raises(GraftError, match=r"^imagenet:DINOv2Small: expected one of MobileNet, .*ConvNeXtBase\.$"):
        write_bundle(NAME, tmp_path)


def test_tokens_are_pooled_in_float32():
    with backend.precision("mixed_bfloat16"):
        assert pooling.pool(keras.Input((5, 3))).dtype == "float32"


def test_tensorflow_builds_it(monkeypatch):
    """Keras interpolates the position embeddings otherwise on OpenVINO."""
    monkeypatch.delenv("KERAS_BACKEND")
    hardware.build_without_tensorflow(NAME)
    assert "KERAS_BACKEND" not in os.environ
    hardware.build_without_tensorflow("MobileNetV2")
    assert os.environ["KERAS_BACKEND"] == "openvino"
