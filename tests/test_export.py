"""A small network in every format that can be published; the oracle of each is Keras."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers
from tiny_bundle import make_images

import graft
from graft import registry
from graft.errors import GraftError
from graft.model import bundle
from graft.model.inference import open_runtime
from pipeline.code import ROOT
from pipeline.probing.levels import Index
from pipeline.training import formats, heads, onnx_file, parity
from tasks import artifacts, export, held_out
from tasks import formats as task_formats

FORMATS = ["onnx_int8", "litert", "litert_int8", "openvino"]
SIZE = (24, 32)
CLASSES = ["blue", "green", "red"]
PARAMS = export.ExportParams(unknown_acceptance=0.95, wanted_precision=0.0, parity_tolerance=1e-4, formats=FORMATS,
                             int8_agreement=0.9)


def network(seed: int) -> keras.Model:
    """A model to publish; its logits are an image's mean colours after a random convolution."""
    keras.utils.set_random_seed(seed)
    pixels = keras.Input((*SIZE, 3))
    frozen = keras.Model(pixels, layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 255)(pixels)))
    maps = keras.Input(frozen.output.shape[1:])
    top = keras.Model(maps, layers.GlobalAveragePooling2D()(layers.Conv2D(8, 1, activation="relu")(maps)))
    head = heads.build_head(8, 3, 0, 0)
    head.set_weights([20 * weights for weights in head.get_weights()])
    return heads.whole_model(frozen, top, head)


def write(folder: Path, model: keras.Model, images: list[Path]) -> Path:
    folder.mkdir()
    onnx_file.write_onnx(model, folder / bundle.MODEL)
    bundle.write_description(folder, bundle.Description(class_names=CLASSES, image_size=list(SIZE), backbone={}))
    for format in FORMATS:
        formats.write(format, model, folder, lambda: parity.read_images(images, SIZE))
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return sorted(make_images(tmp_path_factory.mktemp("images"), images=12).rglob("*.png"))


@pytest.fixture(scope="module")
def model():
    return network(seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, model, images):
    return write(tmp_path_factory.mktemp("bundles") / "one", model, images)


def test_every_format_says_what_keras_says(folder, model, images):
    agreements = task_formats.check_formats(folder, model, images, PARAMS)
    assert list(agreements) == ["onnx", *sorted(FORMATS)]
    for format in ("onnx", "litert", "openvino"):
        assert agreements[format]["largest_difference"] <= 1e-5 and agreements[format]["same_label"] == 1
    assert 1e-5 < agreements["litert_int8"]["largest_difference"] < 0.2


@pytest.mark.parametrize("format", FORMATS)
def test_the_outputs_are_the_same_numbers_for_any_batch(folder, images, format):
    pixels = parity.read_images(images, SIZE)
    logits, features = open_runtime(folder, format).run(pixels)
    expected = open_runtime(folder).run(pixels)
    tolerance = 0.3 if format.endswith("_int8") else 1e-4
    assert abs(logits - expected[0]).max() < tolerance and abs(features - expected[1]).max() < tolerance
    classifier = graft.load(str(folder), format=format)
    alone = [classifier.predict(path).probability for path in images[:3]]
    assert [each.probability for each in classifier.predict(images[:3])] == pytest.approx(alone, abs=1e-5)


def test_a_format_of_another_network_is_not_kept(folder, model, images, tmp_path):
    shutil.copytree(folder, tmp_path / "mixed")
    other = network(seed=2)
    formats.write("litert", other, tmp_path / "mixed", list)
    formats.write("litert_int8", other, tmp_path / "mixed",
                  lambda: parity.read_images(images, SIZE))
    with pytest.raises(GraftError, match=r"is rejected: litert differs from Keras by .*parity_tolerance \(0.0001\); "
                                         r"litert_int8 gives Keras's label for .*export.int8_agreement \(90.0%\)"):
        task_formats.check_formats(tmp_path / "mixed", model, images, PARAMS)


def test_an_int8_format_that_is_less_accurate_is_removed(folder, images, tmp_path, capsys):
    answers = graft.load(str(folder)).predict([str(path) for path in images])
    labels = np.array([CLASSES.index(each.label) for each in answers])
    root = images[0].parents[1]
    val = SimpleNamespace(paths=[str(path.relative_to(root)) for path in images], labels=labels,
                          sha256s=[f"{number:02}" for number in range(len(images))])
    spoilt = shutil.copytree(folder, tmp_path / "spoilt")
    formats.write_onnx_int8(*(spoilt / name for name in ("model.onnx", "model.int8.onnx")),
                            np.zeros((1, *SIZE, 3), np.uint8))        # calibrated on black: all else is cut off
    kept = task_formats.keep_accurate(spoilt, val, root, FORMATS)
    assert kept == [each for each in FORMATS if each != "onnx_int8"] and not (spoilt / "model.int8.onnx").exists()
    assert "are right by onnx alone and 0 by onnx_int8 alone" in capsys.readouterr().out


def test_two_processes_write_the_same_bytes(images, tmp_path):
    code = ("import sys; sys.path[:0] = sys.argv[1:3]; from pathlib import Path; import test_export; "
            "test_export.write(Path(sys.argv[3]), test_export.network(1), [Path(each) for each in sys.argv[4:]])")
    folders = [tmp_path / "one", tmp_path / "two"]
    both = [subprocess.Popen([sys.executable, "-c", code, ROOT, ROOT / "tests", each, *images], cwd=ROOT)
            for each in folders]
    assert [each.wait() for each in both] == [0, 0]
    digests = [{path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in each.iterdir()}
               for each in folders]
    assert digests[0] == digests[1] and len(digests[0]) == 7


def test_compare_by_hand():
    expected = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    published = np.array([[0.9, 0.1], [0.52, 0.48], [0.2, 0.8]])
    unknown = np.array([False, False, True])
    assert parity.compare((expected, unknown), (published, ~unknown)) == {
        "images": 3, "largest_difference": 0.2, "same_label": 0.6667, "same_unknown": 0.0}


@pytest.mark.parametrize(("sizes", "count", "expected"), [
    ([500, 500], 64, [32, 32]), ([180] * 3, 200, [67, 67, 66]), ([1] * 80, 64, [1] * 80), ([3, 100], 64, [3, 61])])
def test_a_sample_holds_each_class_as_evenly_as_there_are_images(sizes, count, expected):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    names = [f"{number:05}" for number in range(len(labels))]
    sha256s = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    chosen = parity.sample_each_class(SimpleNamespace(paths=names, labels=labels, sha256s=sha256s), count)
    assert np.bincount(labels[[int(name) for name in chosen]]).tolist() == expected
    assert len(set(chosen)) == len(chosen)


def test_formats_are_published_and_pulled(folder, images, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    where = str(tmp_path / "registry")
    registry.publish(folder, "colours", where)
    pulled = graft.load("colours@1", format="openvino", registry=where)
    expected = graft.load(str(folder)).predict(images[0])
    assert pulled.predict(images[0]).probabilities == pytest.approx(expected.probabilities, abs=1e-5)


def test_what_is_not_there_is_told(folder, tmp_path, monkeypatch):
    with pytest.raises(GraftError, match="Expected one of: onnx, onnx_int8, litert, litert_int8, openvino"):
        graft.load(str(folder), format="tflite")
    shutil.copytree(folder, tmp_path / "less")
    (tmp_path / "less" / "model.tflite").unlink()
    with pytest.raises(GraftError, match="not published as litert: it has no model.tflite. Available formats: on"):
        graft.load(str(tmp_path / "less"), format="litert")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(GraftError, match=r"needs the package 'openvino': pip install 'graft\[openvino\]'"):
        graft.load(str(folder), format="openvino")
    (tmp_path / "less" / "model.int8.tflite").write_bytes(b"nothing")
    with pytest.raises(GraftError, match="ai_edge_litert cannot open .*model.int8.tflite"):
        graft.load(str(tmp_path / "less"), format="litert_int8")


def test_who_did_not_know_a_class_tells_neither_the_temperature_nor_the_threshold(tmp_path, monkeypatch):
    """Of the class b, one group alone is learnt from: no other fold knows it."""
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame({"path": [f"{number:02}" for number in range(20)], "label": list("a" * 10 + "b" * 4 + "c" * 6),
                          "split": "train", "sha256": "", "group": "", "views": 1})
    artifacts.write_table(artifacts.ACTIVATIONS, table, artifacts.ACTIVATION_COLUMNS)
    folds = table.assign(fold=np.where(table["label"] == "b", 0, np.arange(20) % 2))
    artifacts.write_held_out(artifacts.TRANSFER_HELD_OUT, folds, np.zeros((20, 3)))
    levels = np.random.default_rng(1).normal(size=(20, 2, 6)).astype(np.float32)
    monkeypatch.setattr(export, "read_features", lambda _: (table, Index("", [("last", 6)]), levels))
    reference, scores = export.fit_unknown(SimpleNamespace(class_names=["a", "b", "c"]), tmp_path, "transfer")
    assert reference.class_means.shape == (3, 6) and scores.shape == (16,) and np.isfinite(scores).all()
    answered, logits = held_out.of_kept("transfer")
    assert set(answered["label"]) == {"a", "c"} and len(logits) == 16
    artifacts.write_held_out(artifacts.TRANSFER_HELD_OUT, folds.assign(fold=(table["label"] == "a").astype(int)),
                             np.zeros((20, 3)))                 # nobody knew any: these answers are all there is
    assert len(held_out.of_kept("transfer")[1]) == 20
    _, scores = export.fit_unknown(SimpleNamespace(class_names=["a", "b", "c"]), tmp_path, "transfer")
    assert np.isfinite(scores).all()
