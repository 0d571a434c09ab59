import sys

import pytest

from graft.errors import GraftError
from pipeline import hardware
from tasks import code


@pytest.mark.parametrize(("gpu", "flags", "policy"), [
    (True, {"avx512_bf16"}, "mixed_float16"), (False, {"avx512_bf16"}, "mixed_bfloat16"), (False, {"avx2"}, "float32")])
def test_the_fastest_policy_is_what_the_machine_has_units_for(monkeypatch, gpu, flags, policy):
    monkeypatch.setattr(hardware, "has_gpu", lambda: gpu)
    monkeypatch.setattr(hardware, "processor_flags", lambda: flags)
    assert hardware.fastest_policy() == policy


def test_a_hidden_gpu_does_not_count(monkeypatch, tmp_path):
    (tmp_path / "nvidia").mkdir()
    (tmp_path / "device").touch()
    monkeypatch.setattr(hardware, "GPU_DEVICES", (str(tmp_path / "device"),))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert hardware.has_gpu()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not hardware.has_gpu()


@pytest.mark.parametrize(("asked", "gpu_host", "found"), [
    ("float32", "stages/gpu", "float32"), ("auto", "stages/gpu", "mixed_float16"), ("auto", None, "of this machine")])
def test_auto_becomes_the_precision_of_the_machine_that_will_compute(monkeypatch, tmp_path, asked, gpu_host, found):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(f"extract: {{precision: {asked}}}")
    monkeypatch.setattr(code, "fastest_policy", lambda: "of this machine")
    monkeypatch.delenv("GRAFT_GPU_DEPLOYMENT", raising=False)
    if gpu_host:
        monkeypatch.setenv("GRAFT_GPU_DEPLOYMENT", gpu_host)
    assert code.precision() == found


@pytest.mark.parametrize(("gpu", "installed", "engine"), [
    (True, True, "keras"), (False, True, "openvino"), (False, False, "keras")])
def test_the_fastest_engine_is_openvino_on_a_processor(monkeypatch, gpu, installed, engine):
    monkeypatch.setattr(hardware, "has_gpu", lambda: gpu)
    monkeypatch.setattr(hardware, "has_openvino", lambda: installed)
    assert hardware.fastest_engine() == engine


@pytest.mark.parametrize(("params", "gpu_host", "found"), [
    ("{engine: keras}", None, "keras"), ("{engine: auto}", None, "of this machine"),
    ("{engine: auto}", "stages/gpu", "keras"), ("{engine: auto, precision: mixed_float16}", None, "keras")])
def test_auto_becomes_the_engine_of_the_machine_that_will_compute(monkeypatch, tmp_path, params, gpu_host, found):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(f"extract: {params}")
    monkeypatch.setattr(code, "fastest_engine", lambda: "of this machine")
    monkeypatch.delenv("GRAFT_GPU_DEPLOYMENT", raising=False)
    if gpu_host:
        monkeypatch.setenv("GRAFT_GPU_DEPLOYMENT", gpu_host)
    assert code.engine() == found


@pytest.mark.parametrize(("precision", "installed", "said"), [
    ("mixed_float16", True, "computes in float32 or mixed_bfloat16"), ("float32", False, "is not installed")])
def test_an_engine_that_cannot_run_is_one_message(monkeypatch, tmp_path, precision, installed, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(f"extract: {{engine: openvino, precision: {precision}}}")
    monkeypatch.setattr(code, "has_openvino", lambda: installed)
    with pytest.raises(GraftError, match=f"params.yaml: extract.engine: .*{said}"):
        code.engine()
