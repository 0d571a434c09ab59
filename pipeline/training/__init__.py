"""Training, as a library: the home of Keras, written against Keras alone (`KERAS_BACKEND` chooses the backend).

While it is imported, TensorFlow writes banners to standard error, whatever its log level. They are of no use to anyone,
so the first import happens here, with standard error closed meanwhile.
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

logging.getLogger("tensorflow").setLevel(logging.ERROR)     # hides warnings about retracing: each model has one shape
