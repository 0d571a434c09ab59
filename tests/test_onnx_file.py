import subprocess
import sys
import textwrap

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

from pipeline.code import ROOT
from pipeline.training import backbones, heads, onnx_file

PROGRAM = textwrap.dedent("""
    import sys
    from pathlib import Path
    import pipeline.training, keras
    from pipeline.training import backbones, heads, onnx_file
    keras.utils.set_random_seed(1)
    frozen, top = backbones.split(backbones.build("MobileNetV2", (32, 32), 0.35), "block_12_add")
    head = heads.build_head(top.output.shape[-1], 3, 8, 0.2)
    onnx_file.write_onnx(heads.whole_model(frozen, top, head), Path(sys.argv[1]))
""")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    keras.utils.set_random_seed(1)
    frozen, top = backbones.split(backbones.build("MobileNetV2", (32, 32), 0.35), "block_12_add")
    model = heads.whole_model(frozen, top, heads.build_head(top.output.shape[-1], 3, 8, 0.2))
    onnx_file.write_onnx(model, path)
    return model, path


def test_the_file_says_what_keras_says(exported):
    model, path = exported
    images = np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    logits, features = onnxruntime.InferenceSession(path).run(["logits", "features"], {"images": images})
    expected = model.predict_on_batch(images)
    assert np.allclose(logits, expected["logits"], atol=1e-5)
    assert np.allclose(features, expected["features"], atol=1e-5)


def test_input_and_outputs_are_the_contract(exported):
    graph = onnx.load(exported[1]).graph
    shapes = {each.name: [dim.dim_param or dim.dim_value for dim in each.type.tensor_type.shape.dim]
              for each in [*graph.input, *graph.output]}
    assert shapes == {"images": ["batch", 32, 32, 3], "logits": ["batch", 3], "features": ["batch", 1280]}
    assert [each.name for each in graph.output] == ["logits", "features"]
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_two_processes_write_the_same_bytes(exported, tmp_path):
    subprocess.run([sys.executable, "-c", PROGRAM, tmp_path / "again.onnx"], cwd=ROOT, check=True, capture_output=True)
    assert (tmp_path / "again.onnx").read_bytes() == exported[1].read_bytes()
