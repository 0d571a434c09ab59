"""Seeds, precision and devices: the only file that names a Keras backend."""

from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np

from graft.machine.cores import cpu_count
from graft.model import openvino


def make_deterministic(seed: int) -> None:
    """Seed Python, NumPy and the backend, and make the backend use operations that give the same bits every time."""
    keras.utils.set_random_seed(seed)
    use_deterministic_operations()


def use_deterministic_operations() -> None:
    """Make the backend use only operations that give the same bits every time, which some do not on a GPU."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


@contextmanager
def precision(policy: str):
    """Build the models of this block with a Keras dtype policy.

    Args:
        policy: float32, mixed_bfloat16 or mixed_float16.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextmanager
def all_devices(batch_size: int, kind: str = "gpu"):
    """Let models built in this block compute on all GPUs of this machine, each on its part of every batch.

    TensorFlow uses its MirroredStrategy, other backends Keras's DataParallel. With one GPU or none, nothing changes.

    Args:
        batch_size: the number of GPUs in use is the largest that divides it.
        kind: of device, "gpu" or "cpu".
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


def in_float32(model: keras.Model) -> Callable[[np.ndarray], dict]:
    """A model as a function of a batch.

    Keras lets OpenVINO round to 16 bits where the processor can. So the model that it builds there is compiled here.

    Args:
        model: with a dictionary of outputs, built in float32.
    """
    if keras.backend.backend() != "openvino":
        return model.predict_on_batch
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.xml")
        model.export(str(path), format="openvino", verbose=False)
        core = openvino.load().Core()
        compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda batch: dict(zip(sorted(model.output), compiled(batch).to_tuple()))      # in Keras's order


def shared(model: keras.Model, batch: np.ndarray):
    """A batch as the `..._on_batch` methods of `model` expect it: in equal parts if TensorFlow uses several devices."""
    if not is_distributed(model):
        return batch
    strategy = model.distribute_strategy
    import tensorflow as tf

    parts = [tf.convert_to_tensor(part) for part in np.split(batch, strategy.num_replicas_in_sync)]
    return strategy.experimental_distribute_values_from_function(lambda at: parts[at.replica_id_in_sync_group])


def is_distributed(model: keras.Model) -> bool:
    """Whether TensorFlow computes a model on several devices. JAX splits the batches itself."""
    return keras.backend.backend() == "tensorflow" and model.distribute_strategy.num_replicas_in_sync > 1


def has_gpu() -> bool:
    """Whether the backend sees a GPU."""
    return bool(list_devices("gpu"))


def list_devices(kind: str) -> list[str]:
    """The names of all devices of a kind, "gpu" or "cpu"; an empty list if there are none."""
    try:
        return keras.distribution.list_devices(kind)
    except (RuntimeError, AttributeError):      # from JAX, if there are none; OpenVINO's backend knows no devices
        return []


def describe_devices() -> str:
    """`2 GPUs`, or `no GPU here, 8 processor cores`."""
    count, cores = len(list_devices("gpu")), cpu_count()
    return f"{count} GPU" + "s" * (count > 1) if count else f"no GPU here, {cores} processor core" + "s" * (cores != 1)
