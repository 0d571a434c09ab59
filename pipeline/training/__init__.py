"""The learning itself, as a library: the home of Keras, written against Keras alone.

The environment variable KERAS_BACKEND chooses the backend, TensorFlow unless it is set. What the user's keras.json says
counts for their other work, not here.

TensorFlow writes banners to the process's standard error while it is imported, whatever its log level. So the first
import happens here, with standard error closed.
"""

import contextlib
import logging
import os

from graft.errors import GraftError
from pipeline.imports import hidden

BACKENDS = ("tensorflow", "jax", "openvino")    # the last builds networks, and trains none
UNUSED = ("matplotlib", "sklearn",      # for plots and wrappers of Keras: a third of the time of its import
          "openvino_telemetry")         # which tells OpenVINO's makers of its import


@contextlib.contextmanager
def _silent_banners():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


_backend = os.environ.setdefault("KERAS_BACKEND", BACKENDS[0])
try:
    if _backend not in BACKENDS:
        raise ImportError(f"expected {' or '.join(BACKENDS[:2])}")
    with _silent_banners(), hidden(*UNUSED):
        import keras
except ImportError as error:
    raise GraftError(f"KERAS_BACKEND is '{_backend}', which cannot be used here: {error}. Unset it to use TensorFlow."
                     ) from None
keras.config.set_floatx("float32")
keras.config.set_image_data_format("channels_last")
keras.config.set_epsilon(1e-7)

logging.getLogger("tensorflow").setLevel(logging.ERROR)     # hides warnings about retracing: each model has one shape
