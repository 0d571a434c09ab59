import sys

import pytest

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
