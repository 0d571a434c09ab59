"""What the machine computes with: seeds, determinism, precision. The only file that knows a Keras backend by name."""

from contextlib import contextmanager
from pathlib import Path

import keras


def make_deterministic(seed: int) -> None:
    """Seed Python, NumPy and the backend, and ask the backend for operations that give the same bits every time."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


@contextmanager
def precision(policy: str):
    """Build the models of this block with one Keras dtype policy: float32, mixed_bfloat16, mixed_float16 or auto."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(fastest_policy() if policy == "auto" else policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def fastest_policy() -> str:
    """mixed_float16 on a GPU; mixed_bfloat16 on a processor that multiplies bfloat16 itself; else float32."""
    if has_gpu():
        return "mixed_float16"
    return "mixed_bfloat16" if "avx512_bf16" in processor_flags() or "amx_bf16" in processor_flags() else "float32"


def has_gpu() -> bool:
    return bool(keras.distribution.list_devices("gpu"))


def processor_flags() -> set[str]:
    """What Linux says of the first processor; empty elsewhere."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return set()
    return next((set(line.split()) for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), set())
