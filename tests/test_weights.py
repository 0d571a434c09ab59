import numpy as np
import pytest
from photographs import real_weights

from graft.errors import GraftError
from pipeline.training.backbones import build
from pipeline.training.weights import load_backbone

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


def test_imagenet_weights_that_are_nowhere_name_three_other_ways(tmp_path, monkeypatch):
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    monkeypatch.setattr("keras.src.applications.mobilenet_v2.BASE_WEIGHT_PATH", "http://127.0.0.1:9/")
    with pytest.raises(GraftError, match=r"'imagenet' cannot be had. Tried Keras's cache(.|\n)*- weights: none"):
        load_backbone("MobileNetV2", (224, 224), 0.35, "imagenet")


@pytest.mark.parametrize(("weights", "tried"), [
    ("nowhere/b.weights.h5", "there is no such file"),
    ("README.md", "it does not fit MobileNetV2 with alpha 0.35"),
    ("s3://no-such-bucket-of-graft/b.weights.h5", "a download of s3://"),
])
def test_weights_that_cannot_be_had_name_three_other_ways(weights, tried, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")       # nobody listens there
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with pytest.raises(GraftError) as caught:
        load_backbone(*NETWORK, weights=weights)
    message = str(caught.value)
    assert "extract.backbone.weights" in message
    assert weights in message
    assert tried in message
    assert message.count("\n         - ") == 3


def test_a_file_of_another_network_is_refused(tmp_path):
    build("MobileNetV2", (32, 32), 0.5).save_weights(tmp_path / "b.weights.h5")
    with pytest.raises(GraftError, match="it does not fit MobileNetV2"):
        load_backbone(*NETWORK, weights=str(tmp_path / "b.weights.h5"))


@pytest.mark.parametrize("weights", ["starter", "imagenet", "none", "nowhere.h5"])
def test_a_misspelt_backbone_is_told_before_its_weights_are_looked_for(weights):
    with pytest.raises(GraftError, match="backbone.name: expected one of .* Did you mean 'MobileNetV2'?"):
        load_backbone("MobilNet", (32, 32), 0.35, weights)
