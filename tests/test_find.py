"""From what a person calls a model to a folder; the oracle of `imagenet:` is Keras itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_bundle import make_bundle, make_images

import graft
from graft import registry
from graft.errors import GraftError
from graft.predict.find import find_model

REPOSITORY = Path(__file__).parent.parent
WEIGHTS = Path(os.environ.get("GRAFT_REAL_WEIGHTS", REPOSITORY.parent / "shared" / "weights"))
CLASS_INDEX = WEIGHTS / "imagenet_class_index.json"

# MobileNetV2 with random weights takes the place of the real ones in Keras's cache; prints what Keras says of an image
KERAS = """
import json, sys
import h5py, keras, numpy as np
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group
cache, image = sys.argv[1:]
keras.utils.set_random_seed(1)
network = keras.applications.MobileNetV2(weights=None)
rng = np.random.default_rng(1)          # random statistics, so that the signal does not fade and classes differ
for layer in network.layers:
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.moving_variance.assign(rng.uniform(0.02, 0.1, layer.moving_variance.shape))
with h5py.File(cache + "/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5", "w") as file:
    save_weights_to_hdf5_group(file, network)
pixels = np.load(image)[None].astype("float32")
scores = network.predict(keras.applications.mobilenet_v2.preprocess_input(pixels), verbose=0)
best = keras.applications.imagenet_utils.decode_predictions(scores, top=1000)[0]
print(json.dumps({number: float(share) for number, _, share in best}))
"""


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GRAFT_REGISTRY", raising=False)


def test_a_folder_is_the_model_and_bears_its_name(tmp_path):
    folder = make_bundle(tmp_path / "colours")
    assert find_model(str(folder)) == ("colours", folder)


def test_an_address_is_pulled_and_bears_its_version(tmp_path):
    registry.publish(make_bundle(tmp_path / "bundle"), "colours", str(tmp_path / "registry"))
    name, folder = find_model("colours", str(tmp_path / "registry"))
    assert name == "colours@1" and graft.load(str(folder)).class_names == ("blue", "green", "red")
    assert find_model(f"{tmp_path}/registry/colours@1") == (name, folder)
    assert find_model("colours", str(tmp_path / "registry"), offline=True) == (name, folder)


def test_a_folder_of_the_same_name_does_not_stand_in_for_the_registry_that_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    registry.publish(make_bundle(tmp_path / "bundle", seed=2), "colours", "elsewhere")
    folder = make_bundle(tmp_path / "colours")
    assert find_model("colours") == ("colours", Path("colours"))
    name, pulled = find_model("colours", registry="elsewhere")
    assert name == "colours@1" and pulled.resolve() != folder
    assert find_model("colours", registry="elsewhere", offline=True) == (name, pulled)
    assert find_model("./colours", registry="elsewhere") == ("colours", Path("colours"))
    assert find_model(Path("colours"), registry="elsewhere") == ("colours", Path("colours"))
    with pytest.raises(GraftError, match=r"never pulled .* for the folder in this directory, write \./colours"):
        find_model("colours", offline=True)


def test_folders_are_told_from_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    registry.publish(make_bundle(tmp_path / "bundle"), "colours", "registry")
    Path("colours").mkdir()                             # images, say
    assert find_model("colours")[1].name == "1"
    assert find_model("./colours")[1] == find_model(tmp_path / "colours")[1].relative_to(tmp_path)
    make_bundle(tmp_path / "model")
    assert str(find_model("model")[1]) == "model"


def test_a_folder_of_the_same_name_without_a_model_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    registry.publish(make_bundle(tmp_path / "bundle"), "colours", "elsewhere")
    Path("colours").mkdir()                             # images, say
    name, pulled = find_model("colours", registry="elsewhere")
    assert (name, pulled.name) == ("colours@1", "1")
    assert find_model("colours", registry="elsewhere", offline=True) == (name, pulled)
    assert find_model("./colours") == ("colours", Path("colours"))


@pytest.mark.parametrize("model, said", [
    ("imagenet:../escape", "expected the name of a network"), ("imagenet:", "expected the name of a network"),
    ("nothing/here", "nothing"),
])
def test_what_is_no_model_is_told(model, said):
    with pytest.raises(GraftError, match=said):
        find_model(model)


def test_where_the_pipeline_is_missing_imagenet_says_what_it_takes(monkeypatch, tmp_path):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path))
    monkeypatch.setattr("graft.predict.find.MAKER", "no.such.module")
    with pytest.raises(GraftError, match="the pipeline's environment"):
        find_model("imagenet:MobileNetV2")


@pytest.mark.skipif(not CLASS_INDEX.exists(), reason=f"{CLASS_INDEX} is missing: Keras's list of the ImageNet classes")
def test_imagenet_predicts_as_keras_does_and_needs_it_once_only(tmp_path):
    import numpy as np

    from graft.images import read_image

    cache = tmp_path / "keras" / "models"
    cache.mkdir(parents=True)
    (cache / CLASS_INDEX.name).write_bytes(CLASS_INDEX.read_bytes())
    image = make_images(tmp_path / "images", images=1) / "red" / "00.png"
    np.save(tmp_path / "image.npy", read_image(image, (224, 224)))
    environment = os.environ | {"KERAS_HOME": str(cache.parent)}
    run = {"capture_output": True, "text": True, "cwd": REPOSITORY}
    keras = subprocess.run([sys.executable, "-c", KERAS, cache, tmp_path / "image.npy"], env=environment, **run)
    assert keras.returncode == 0, keras.stderr
    expected = json.loads(keras.stdout.splitlines()[-1])
    predict = [sys.executable, "-m", "graft.cli", "predict", image, "--model=imagenet:MobileNetV2", "--json",
               "--top=all"]
    first = subprocess.run(predict, env=environment, **run)
    assert first.returncode == 0, first.stderr
    names = dict(json.loads(CLASS_INDEX.read_text()).values())
    shares = json.loads(first.stdout)["probabilities"]
    assert len(shares) == 1000 and "tabby" in shares and "crane (n02012849)" in shares and "crane (n03126707)" in shares
    by_number = {number: shares.get(name.replace("_", " "), shares.get(f"{name} ({number})".replace("_", " ")))
                 for number, name in names.items()}
    assert max(expected.values()) > 0.005        # not the same for every class
    assert by_number == pytest.approx(expected, abs=1e-4)
    (cache.parent / "models").rename(tmp_path / "gone")
    second = subprocess.run(predict, env=environment, **run)
    assert (second.stdout, second.stderr) == (first.stdout, "")
