"""What this machine computes fastest with, as far as one can see without loading a deep-learning library."""

import os
from importlib.util import find_spec
from pathlib import Path

GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg")        # Linux, and Windows' WSL
BFLOAT16_UNITS = {"avx512_bf16", "amx_bf16"}


def fastest_policy() -> str:
    """The Keras dtype policy: mixed_float16 on a GPU, mixed_bfloat16 on a processor with units for it, else float32."""
    if has_gpu():
        return "mixed_float16"
    return "mixed_bfloat16" if BFLOAT16_UNITS & processor_flags() else "float32"


def fastest_engine() -> str:
    """What runs the frozen part: `keras` on a GPU, `openvino` on a processor where it is installed, else `keras`."""
    return "openvino" if not has_gpu() and has_openvino() else "keras"


def build_without_tensorflow(backbone: str) -> None:
    """Let Keras, which must not be imported yet, build its networks on OpenVINO, where they cannot be trained.

    It starts and builds in half the processor time that it takes with TensorFlow. DINOv2 stays there: Keras's bicubic
    interpolation, of its position embeddings, gives other numbers on OpenVINO.
    """
    if not backbone.startswith("DINOv2"):
        os.environ.setdefault("KERAS_BACKEND", "openvino")


def has_openvino() -> bool:
    """Whether the package `openvino` is installed."""
    return find_spec("openvino") is not None


def has_gpu() -> bool:
    """Whether there is an NVIDIA GPU that a process may use, and the libraries that use it."""
    is_hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not is_hidden and any(Path(device).exists() for device in GPU_DEVICES) and find_spec("nvidia") is not None


def processor_flags() -> set[str]:
    """The features of the first processor that Linux lists; empty elsewhere."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return set()
    return next((set(line.split()) for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), set())
