"""Run a published model with the runtime of one of its export formats.

    onnx            model.onnx                      ONNX Runtime; always available
    onnx_int8       model.int8.onnx                 the same with int8 convolutions: less than half the size
    litert          model.tflite                    for phones and small machines (the extra `litert`)
    litert_int8     model.int8.tflite               a quarter of the size, with slightly different probabilities
    openvino        openvino.xml, openvino.bin      for Intel processors (the extra `openvino`)
"""

import os
import threading
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from graft.errors import GraftError
from graft.model import bundle

Shapes = dict[str, tuple]       # input or output -> its sizes; an open one is a name, None or -1


class Runtime(Protocol):
    """A model that is ready to run; safe to use from several threads."""

    def shapes(self) -> Shapes:
        """The shapes of `images`, `logits` and `features`."""

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Run one batch.

        Args:
            images: uint8 `(batch, height, width, 3)`, RGB in 0 to 255.

        Returns:
            float32 logits `(batch, classes)` and pooled features `(batch, units)`.
        """


class Onnx(Runtime):
    """`model.onnx` in ONNX Runtime on the CPU."""

    def __init__(self, path: Path, threads: int | None):
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")     # or it reports to its makers over the network
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # idle threads must not occupy the cores, which decode images meanwhile
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if threads:
            options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def shapes(self) -> Shapes:
        both = self._session.get_inputs() + self._session.get_outputs()
        return {each.name: tuple(each.shape) for each in both}

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, features = self._session.run(["logits", "features"], {"images": images})
        return logits, features


class LiteRT(Runtime):
    """A `.tflite` file in LiteRT, which only one thread at a time may run."""

    def __init__(self, path: Path, threads: int | None):
        from ai_edge_litert.interpreter import Interpreter

        self._run, self._lock = Interpreter(str(path), num_threads=threads).get_signature_runner(), threading.Lock()

    def shapes(self) -> Shapes:
        both = self._run.get_input_details() | self._run.get_output_details()
        return {name: tuple(map(int, each["shape_signature"])) for name, each in both.items()}

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with self._lock:
            outputs = self._run(images=images)
        return outputs["logits"], outputs["features"]


class OpenVino(Runtime):
    """OpenVINO's own files, run in float32: its default is 16 bits on processors that can."""

    def __init__(self, path: Path, threads: int | None):
        from graft.model.openvino import load

        options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
        options |= {"INFERENCE_NUM_THREADS": threads} if threads else {}
        self._model, self._lock = load().Core().compile_model(path, "CPU", options), threading.Lock()

    def shapes(self) -> Shapes:
        return {each.any_name: tuple(-1 if size.is_dynamic else size.get_length() for size in each.partial_shape)
                for each in [*self._model.inputs, *self._model.outputs]}

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with self._lock:
            outputs = self._model(images)
            return outputs["logits"].copy(), outputs["features"].copy()


RUNTIMES: dict[str, tuple[Any, str]] = {        # export format -> the class that runs it, and the package it needs
    "onnx": (Onnx, "onnxruntime"), "onnx_int8": (Onnx, "onnxruntime"), "litert": (LiteRT, "ai_edge_litert"),
    "litert_int8": (LiteRT, "ai_edge_litert"), "openvino": (OpenVino, "openvino"),
}


def open_runtime(folder: Path, format: str = "onnx", threads: int | None = None) -> Runtime:
    """Open a bundle's model in one of its export formats.

    Args:
        threads: the number of threads that the runtime may use; by default the runtime decides.

    Raises:
        GraftError: if the format is unknown, the bundle lacks it, its runtime is not installed, or cannot open it.
    """
    if format not in RUNTIMES:
        raise GraftError(f"format '{format}' is unknown. Expected one of: {', '.join(RUNTIMES)}.")
    path, (runtime, module) = folder / bundle.FORMATS[format][0], RUNTIMES[format]
    if format != "onnx" and not path.exists():
        there = [each for each, files in bundle.FORMATS.items() if (folder / files[0]).exists()]
        raise GraftError(
            f"{folder} was not published as {format}: it has no {path.name}. Available formats: {', '.join(there)}."
        )
    try:
        return runtime(path, threads)
    except ModuleNotFoundError as error:
        extra = format.partition("_")[0]
        raise GraftError(f"the format {format} needs the package '{module}': pip install 'graft[{extra}]'") from error
    except Exception as error:      # the runtimes' exceptions have no other common base class
        raise GraftError(f"{module} cannot open {path}: {error}. Pull the model again.") from error
