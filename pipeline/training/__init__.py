"""The learning itself, as a library: the home of keras, written against Keras alone (`KERAS_BACKEND` chooses).

TensorFlow writes banners to the process's standard error while it is imported, whatever its log level. They tell nobody
anything, so the first import happens here, with standard error closed for as long as it takes.
"""

import contextlib
import logging
import os


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


with _silent_banners():
    import keras  # noqa: F401

logging.getLogger("tensorflow").setLevel(logging.ERROR)     # it warns of retracing: each model here has one shape
