"""The frozen part of the network as a function of (image, view): all that decides on an activation.

Other files of this folder decide when and where this function is evaluated, never what it gives. The cache of
activations is named by the code that this file comes to import, so nothing else belongs here.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import keras
import numpy as np

from graft.images import read_image
from pipeline.training import backbones, backend, folding, onnx_file
from pipeline.training.augmentation import augment, generator
from pipeline.training.engines import Engine, InKeras, InOpenVino
from pipeline.views import MIRRORED, PLAIN, View

FLOAT16_MAX = 65504.0


@dataclass(frozen=True)
class FrozenPart:
    """All that decides on an activation, but for the image and the view: the contents of backbone.json.

    Attributes:
        weights: where they came from, for people; `weights_sha256` is what counts.
        precision: the Keras dtype policy that the frozen part computes with.
        augmentation: keyword arguments of `pipeline.training.augmentation.augment`.
        licence: of the weights, for people; see `pipeline.training.weights.licence`.
        engine: what the frozen part runs on, "keras" or "openvino".
    """

    name: str
    alpha: float | None
    image_size: tuple[int, int]
    weights: str
    weights_sha256: str
    cut: str
    precision: str
    augmentation: dict
    seed: int
    licence: dict[str, str] | None = None
    engine: str = "keras"

    def network(self, weights: Path) -> keras.Model:
        """The whole backbone with its weights, in float32 or as `precision` says where the caller sets it."""
        return _network(self.name, self.image_size, self.alpha, weights)

    def network_to_read(self, weights: Path) -> keras.Model:
        """The same in float32, built once in a process: its weights must not be changed."""
        return _network_to_read(self.name, tuple(self.image_size), self.alpha, weights, self.weights_sha256)

    def opened(self, weights: Path) -> Engine:
        """From uint8 images to float16 activations at the cut, in `precision`, frozen BatchNormalization folded.

        At the cut `backbones.LEVELS`, the activations are the pooled output of every level, `(batch, units)`.
        """
        if self.engine == "openvino":
            below = self._below_the_cut(self.network_to_read(weights))
            onnx = onnx_file.frozen_onnx(below, FLOAT16_MAX)
            return InOpenVino(onnx, below.output.shape[1:], self.precision)
        with backend.precision(self.precision):
            return InKeras(_as_float16(folding.fold_batch_normalization(self._below_the_cut(self.network(weights)))))

    def _below_the_cut(self, network: keras.Model) -> keras.Model:
        return backbones.pooled(network) if self.cut == backbones.LEVELS else backbones.split(network, self.cut)[0]

    def render(self, data: bytes, views: list[View]) -> list[np.ndarray]:
        """Some views of one image, uint8 `(height, width, 3)` each. Decodes the file once.

        Raises:
            UnreadableImage: with the reason.
        """
        image = read_image(data, tuple(self.image_size))
        return [self._augmented(image, view) for view in views]

    def _augmented(self, image: np.ndarray, view: View) -> np.ndarray:
        if view.number == PLAIN:
            return image
        if view.number == MIRRORED:
            return image[:, ::-1]
        return augment(image, generator(self.seed, view.sha256, view.number), **self.augmentation)


def _network(name: str, image_size: tuple[int, int], alpha: float | None, weights: Path) -> keras.Model:
    network = backbones.build(name, image_size, alpha)
    network.load_weights(weights)
    return network


@lru_cache(maxsize=1)
def _network_to_read(name, image_size, alpha, weights: Path, sha256: str) -> keras.Model:
    return _network(name, image_size, alpha, weights)


def _as_float16(network: keras.Model) -> keras.Model:
    """What float16 cannot hold becomes its largest number, not infinity."""
    output = keras.ops.clip(keras.ops.cast(network.output, "float32"), -FLOAT16_MAX, FLOAT16_MAX)
    return keras.Model(network.input, keras.ops.cast(output, "float16"), name=network.name)
