"""A version that would stop a server never takes over: it answers NaN, crashes or wants more memory than there is."""

import numpy as np
import onnx
import pytest
from live_server import live_server
from onnx import TensorProto, helper, numpy_helper
from tiny_bundle import make_bundle, make_images

from benchmarks.processes import wait_for
from graft import registry
from graft.errors import GraftError
from graft.model import trial
from graft.model.bundle import MODEL
from graft.model.trial import Trial
from graft.server.served_model import ServedModel


def spoilt(folder, nodes, constants):
    """A bundle whose logits go through further nodes, from `before` to `logits`."""
    path = make_bundle(folder) / MODEL
    model = onnx.load(path)
    for node in model.graph.node:
        node.output[:] = ["before" if name == "logits" else name for name in node.output]
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    model.graph.node.extend(nodes)
    path.write_bytes(model.SerializeToString())
    return folder


def nan_bundle(folder):
    return spoilt(folder, [helper.make_node("Mul", ["before", "nan"], ["logits"])], {"nan": np.float32(np.nan)})


def huge_bundle(folder):
    """A model of a few bytes that fills 40 GB with zeros and adds their sum."""
    return spoilt(folder, [helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
                           helper.make_node("ReduceMax", ["zeros"], ["zero"], keepdims=0),
                           helper.make_node("Add", ["before", "zero"], ["logits"])], {"shape": np.array([10**10])})


def endless_bundle(folder):
    """A model that adds zero a million million times."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["x"], ["y"])], "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []),
         helper.make_tensor_value_info("go", TensorProto.BOOL, []),
         helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []),
         helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    return spoilt(folder, [helper.make_node("Loop", ["times", "true", "before"], ["logits"], body=body)],
                  {"times": np.array(10**12), "true": np.array(True)})


@pytest.fixture
def tried():
    tried = Trial()
    yield tried
    tried.close()


@pytest.mark.parametrize("make, reason", [(nan_bundle, "not finite"), (huge_bundle, "cannot")])
def test_a_bad_model_is_refused(tried, tmp_path, make, reason):
    with pytest.raises(GraftError, match=reason):
        tried.require_sound(make(tmp_path / "bad"), "onnx")
    tried.require_sound(make_bundle(tmp_path / "good"), "onnx")


def test_a_model_that_never_ends_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "PROCESSOR_S", 0.5)
    tried = Trial()
    with pytest.raises(GraftError, match="did not answer"):
        tried.require_sound(endless_bundle(tmp_path / "slow"), "onnx")
    tried.close()


def test_a_server_does_not_start_with_a_model_that_answers_nan(tmp_path):
    with pytest.raises(GraftError, match="not finite"):
        ServedModel(str(nan_bundle(tmp_path / "bad")))


def test_a_server_keeps_its_model_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    store = str(tmp_path / "registry")
    image = (make_images(tmp_path / "images", images=1) / "red/00.png").read_bytes()
    for number, folder in enumerate((make_bundle(tmp_path / "good"), nan_bundle(tmp_path / "bad")), start=1):
        registry.publish(folder, "colours", store)
        registry.promote(f"colours@{number}", registry=store) if number == 1 else None
    with live_server("colours", store, poll_s=0.05) as server:
        registry.promote("colours@2", registry=store)
        wait_for(lambda: "colours@2 is not put to work" in server.get("/metrics").text)
        answer = server.post("/v1/predict", content=image, headers={"Content-Type": "image/png"})
        assert (answer.status_code, answer.json()["model"]) == (200, "colours@1")
        registry.promote("colours@1", registry=store)
        assert server.get("/readyz").json()["model"] == "colours@1"
