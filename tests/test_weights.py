from dataclasses import replace

import numpy as np
import pytest
from photographs import real_weights

from graft.errors import GraftError
from pipeline.training.backbones import BACKBONES, LICENCES, build
from pipeline.training.frozen import FrozenPart
from pipeline.training.weights import licence, load_backbone
from tasks import artifacts, extract
from tasks.params import PARAMS, read_params

NETWORK = ("MobileNetV2", (32, 32), 0.35)


def test_a_file_brings_its_weights(tmp_path):
    saved = build(*NETWORK)
    saved.save_weights(tmp_path / "b.weights.h5")
    loaded = load_backbone(*NETWORK, weights=str(tmp_path / "b.weights.h5"))
    assert all(np.array_equal(a, b) for a, b in zip(saved.get_weights(), loaded.get_weights()))


def test_imagenet_weights_come_from_the_cache_without_a_network(tmp_path, monkeypatch):
    file = real_weights("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / file.name).symlink_to(file)
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))      # KERAS_HOME
    loaded = load_backbone("MobileNetV2", (224, 224), 0.35, "imagenet")
    expected = build("MobileNetV2", (224, 224), 0.35)
    expected.load_weights(file)
    assert all(np.array_equal(a, b) for a, b in zip(expected.get_weights(), loaded.get_weights()))


def test_imagenet_weights_that_are_nowhere_name_three_alternatives(tmp_path, monkeypatch):
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    monkeypatch.setattr("keras.src.applications.mobilenet_v2.BASE_WEIGHT_PATH", "http://127.0.0.1:9/")
    expected = r"^weights: 'imagenet' cannot be loaded. Tried Keras's cache(.|\n)*- weights: none"
    with pytest.raises(GraftError, match=expected):
        load_backbone("MobileNetV2", (224, 224), 0.35, "imagenet")


@pytest.mark.parametrize(("weights", "tried"), [
    ("nowhere/b.weights.h5", "there is no such file"),
    ("README.md", "it does not fit MobileNetV2 with alpha 0.35"),
    ("s3://no-such-bucket-of-graft/b.weights.h5", "a download of s3://"),
])
def test_weights_that_cannot_be_loaded_name_three_alternatives(weights, tried, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")       # nobody listens there
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with pytest.raises(GraftError) as caught:
        load_backbone(*NETWORK, weights=weights)
    message = str(caught.value)
    assert message.startswith("weights: ")
    assert weights in message
    assert tried in message
    assert message.count("\n         - ") == 3


def test_a_file_of_another_network_is_refused(tmp_path):
    build("MobileNetV2", (32, 32), 0.5).save_weights(tmp_path / "b.weights.h5")
    with pytest.raises(GraftError, match="it does not fit MobileNetV2"):
        load_backbone(*NETWORK, weights=str(tmp_path / "b.weights.h5"))


@pytest.mark.parametrize("weights", ["starter", "imagenet", "none", "nowhere.h5"])
def test_a_misspelt_backbone_is_named_before_its_weights_are_looked_for(weights):
    with pytest.raises(GraftError, match="^name: expected one of .* Did you mean 'MobileNet'\\?"):
        load_backbone("MobilNet", (32, 32), 0.35, weights)


@pytest.mark.parametrize(("changes", "problems"), [
    ({"name": "MobilNet"}, ["name: expected one of "]),
    ({"alpha": 0.4, "image_size": (16, 16)}, ["alpha: expected one of 0.35, ", "image_size: expected at least 32 "]),
    ({"weights": "nowhere.h5"}, ["weights: 'nowhere.h5' cannot be loaded"]),
    ({"cut": "block_5"}, ["cut: MobileNetV2 cannot be cut at 'block_5'. Did you mean 'block_5_add'?"]),
])
def test_the_stage_names_the_keys_of_params_yaml(changes, problems, tmp_path):
    asked = read_params("extract", extract.ExtractParams)
    with pytest.raises(GraftError) as caught:
        extract.load_backbone(replace(asked, backbone=replace(asked.backbone, **changes)), None, tmp_path)
    message = str(caught.value)
    assert all(f"{PARAMS}: extract.backbone.{problem}" in message for problem in problems)
    assert message.count(str(PARAMS)) == len(problems)


@pytest.mark.parametrize(("name", "weights", "expected"), [
    ("MobileNetV2", "starter", "Apache-2.0"),
    ("MobileNetV2", "imagenet", "Apache-2.0"),
    ("VGG19", "imagenet", "CC-BY-4.0"),
    ("ResNet101", "imagenet", "MIT"),
    ("ResNet101V2", "imagenet", "BSD-3-Clause"),
    ("VGG19", "none", None),
    ("VGG19", "a/file.weights.h5", None),
    ("VGG19", "s3://bucket/key", None),
])
def test_weights_have_the_licence_of_those_who_publish_them(name, weights, expected):
    found = licence(name, weights)
    assert (found and found["name"]) == expected
    assert found is None or found["source"]


def test_every_family_states_a_licence_and_none_is_left_over():
    assert set(LICENCES) == {spec.module for spec in BACKBONES.values()}


def test_the_licence_travels_with_the_weights(tmp_path, monkeypatch):
    asked = read_params("extract", extract.ExtractParams)
    monkeypatch.chdir(tmp_path)
    artifacts.write_json(artifacts.CODE, {"precision": "float32", "engine": "keras"})
    part = extract.save_backbone(asked, build(*NETWORK), tmp_path / "b.weights.h5")
    assert FrozenPart(**part).licence == {"name": "Apache-2.0", "source": "starter/README.md of Graft"}
