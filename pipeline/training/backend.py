"""What the machine computes with: seeds, precision, devices. The only file that knows a Keras backend by name."""

from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np

from graft.machine.cores import cpu_count

PACKAGES = ("keras", "numpy", "opencv-python-headless", "pillow")       # they decide on the bits of an activation


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


@contextmanager
def all_devices(batch_size: int, kind: str = "gpu"):
    """Models that are built in this block compute on all GPUs of this machine: each takes its part of every batch.

    By TensorFlow's MirroredStrategy, or Keras's DataParallel elsewhere. Of several GPUs as many are used as divide
    `batch_size`; with one or none, nothing changes.
    """
    devices = list_devices(kind)
    count = max((n for n in range(1, len(devices) + 1) if batch_size % n == 0), default=1)
    if count > 1:
        print(f"computing on {count} of {len(devices)} {kind.upper()}s", flush=True)
    if count == 1:
        yield
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.distribute.MirroredStrategy(devices[:count]).scope():
            yield
    else:
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices[:count]))
        try:
            yield
        finally:
            keras.distribution.set_distribution(None)


def shared(model: keras.Model, batch: np.ndarray):
    """A batch as `model`'s `..._on_batch` takes it: in equal parts if TensorFlow computes it on several devices."""
    if not is_distributed(model):
        return batch
    strategy = model.distribute_strategy
    import tensorflow as tf

    parts = [tf.convert_to_tensor(part) for part in np.split(batch, strategy.num_replicas_in_sync)]
    return strategy.experimental_distribute_values_from_function(lambda at: parts[at.replica_id_in_sync_group])


def is_distributed(model: keras.Model) -> bool:
    """Whether TensorFlow computes it on several devices. JAX parts the batches by itself."""
    return keras.backend.backend() == "tensorflow" and model.distribute_strategy.num_replicas_in_sync > 1


def fastest_policy() -> str:
    """mixed_float16 on a GPU; mixed_bfloat16 on a processor that multiplies bfloat16 itself; else float32."""
    if has_gpu():
        return "mixed_float16"
    return "mixed_bfloat16" if "avx512_bf16" in processor_flags() or "amx_bf16" in processor_flags() else "float32"


def has_gpu() -> bool:
    return bool(list_devices("gpu"))


def list_devices(kind: str) -> list[str]:
    """The names of all devices of a kind, "gpu" or "cpu"; JAX raises where there is none."""
    try:
        return keras.distribution.list_devices(kind)
    except RuntimeError:
        return []


def describe_devices() -> str:
    """`2 GPUs`, or `no GPU here, 8 processor cores`."""
    count, cores = len(list_devices("gpu")), cpu_count()
    return f"{count} GPU" + "s" * (count > 1) if count else f"no GPU here, {cores} processor core" + "s" * (cores != 1)


def versions() -> list[str]:
    """Backend and libraries with their versions: another one may compute other bits."""
    backend = keras.backend.backend()
    installed = [f"{name} {version(name)}" for name in PACKAGES]
    return [*installed, f"{backend} {__import__(backend).__version__}"]


def processor_flags() -> set[str]:
    """What Linux says of the first processor; empty elsewhere."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return set()
    return next((set(line.split()) for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), set())
