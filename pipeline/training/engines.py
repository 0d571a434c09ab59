"""What the frozen part runs on: Keras, or OpenVINO, which computes the same in less time on a processor."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Protocol

import keras
import numpy as np

from graft.machine.cores import cpu_count
from graft.model import openvino
from pipeline.training import backend

MOST_STREAMS = 8                # each holds the maps of a whole batch; more cores share the streams
HINTS = {"float32": "f32", "mixed_bfloat16": "bf16"}        # Keras's policy -> OpenVINO's INFERENCE_PRECISION_HINT


class Engine(Protocol):
    """A network that is ready to run on batches of one size.

    Attributes:
        shape: of the activations of one image.
        streams: batches that it computes at once.
    """

    shape: tuple[int, ...]
    streams: int

    def run(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """float16 `(batch, *shape)` for each uint8 `(batch, height, width, 3)`, in order."""


class InKeras(Engine):
    """A Keras model from uint8 images to float16 activations."""

    streams = 1

    def __init__(self, model: keras.Model):
        backend.use_deterministic_operations()
        self._model, self.shape = model, model.output.shape[1:]

    def run(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        return (np.asarray(self._model.predict_on_batch(backend.shared(self._model, batch))) for batch in batches)


class InOpenVino(Engine):
    """An ONNX model on the processor, a stream for each core: none waits for another within a batch.

    Args:
        onnx: from `pipeline.training.onnx_file.frozen_onnx`.
        shape: see `Engine`.
        precision: a key of `HINTS`; a processor without units for bfloat16 computes in float32.
    """

    def __init__(self, onnx: bytes, shape: tuple[int, ...], precision: str):
        cores = cpu_count()
        self.shape, self.streams = shape, min(cores, MOST_STREAMS)
        core = openvino.load().Core()
        self._model = core.compile_model(core.read_model(onnx), "CPU", {
            "INFERENCE_PRECISION_HINT": HINTS[precision], "NUM_STREAMS": self.streams, "INFERENCE_NUM_THREADS": cores,
            "ENABLE_CPU_PINNING": False})       # other processes, and the threads that decode, use the cores, too

    def run(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """One batch more than there are streams is under way, so that none has to wait for the caller."""
        busy: deque = deque()
        for batch in batches:
            is_full = len(busy) > self.streams
            request, rows = _finished(*busy.popleft()) if is_full else (self._model.create_infer_request(), None)
            request.start_async(batch, share_inputs=True)
            busy.append((request, batch))       # the batch is read until the request has ended
            if is_full:
                yield rows
        for each in busy:
            yield _finished(*each)[1]


def _finished(request, batch: np.ndarray) -> tuple:
    """A request, once its batch is computed, and the activations."""
    request.wait()
    return request, request.get_output_tensor(0).data.copy()
