"""Stage `generate`: pictures made by formula, each of a shape class, a texture class or both. No natural image is used.

A picture depends only on the seed and its number, so any number of processes write the same file.
"""

from dataclasses import dataclass, fields
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from pydantic import Field
from tqdm import tqdm

from graft.errors import reported
from graft.machine.cores import cpu_count
from starter import shapes, textures
from tasks.params import params, read_params

PARAMS = Path("starter/params.yaml")
OUTPUTS = Path("starter/outputs")
CHUNK = 256
MASK_PX = 24
NONE = -1                       # label of a missing shape or texture
LEAST_CONTRAST = 0.4            # distance of an object's mean colour from the background's, in RGB from 0 to 1


@params
class GenerateParams:
    """The number of pictures and of classes in each family."""

    images: int = Field(ge=1)
    size_px: int = Field(ge=16, le=512)
    shapes: dict[str, int]
    textures: dict[str, int]
    seed: int = Field(ge=0)


def main() -> None:
    params = read_params("generate", GenerateParams, PARAMS)
    formulas = Formulas(params.shapes, params.textures, params.seed)
    generate(formulas, params.images, params.size_px, cpu_count()).save(OUTPUTS)
    print(f"{params.images} pictures of {len(formulas.shapes)} shapes and {len(formulas.textures)} textures")


@dataclass(frozen=True)
class Pictures:
    """The pictures and the network's targets for them.

    Attributes:
        pictures: uint8 `(images, size_px, size_px, 3)`.
        masks: of the object, uint8 `(images, MASK_PX, MASK_PX)` from 0 to 255.
        labels: of the object's shape and the background's texture, int32 `(images, 2)`, -1 for none.
        descriptors: of the texture classes, float `(textures, numbers)`; see `textures.descriptor`.
    """

    pictures: np.ndarray
    masks: np.ndarray
    labels: np.ndarray
    descriptors: np.ndarray

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in vars(self).items():
            np.save(folder / f"{name}.npy", array)


def read_pictures(folder: Path) -> Pictures:
    return Pictures(**{each.name: np.load(folder / f"{each.name}.npy", mmap_mode="r") for each in fields(Pictures)})


class Formulas:
    """All classes: the lists `shapes` and `textures`, in the order of the labels."""

    def __init__(self, shape_classes: dict[str, int], texture_classes: dict[str, int], seed: int):
        self.shapes = shapes.make_classes(shape_classes, seed)
        self.textures = textures.make_classes(texture_classes, seed)
        self.seed = seed

    def picture(self, number: int, size_px: int) -> tuple[np.ndarray, np.ndarray, int, int]:
        """Draw picture `number`.

        Three in ten pictures are a texture alone, and three in ten a shape on a plain background: a small network needs
        easy examples to begin with.

        Returns:
            the picture, uint8 `(size_px, size_px, 3)`; its object's mask, uint8 `(MASK_PX, MASK_PX)` from 0 to 255; the
            labels of its object's shape and of its background's texture, -1 for none.
        """
        random = np.random.Generator(np.random.Philox(key=(self.seed, number)))
        kind, shape, texture = random.random(), NONE, NONE
        if kind < 0.3 or kind > 0.6:
            texture = int(random.integers(len(self.textures)))
        colours = _colours(random)
        scene, mask = self._surface(random, texture, size_px, colours), np.zeros((size_px, size_px), np.uint8)
        if kind > 0.3:
            shape = int(random.integers(len(self.shapes)))
            if random.random() < 0.25:
                scene, _ = self._place(random, scene, int(random.integers(len(self.shapes))), _colours(random))
            scene, mask = self._place(random, scene, shape, _colours(random, unlike=colours))
        small = cv2.resize(mask, (MASK_PX, MASK_PX), interpolation=cv2.INTER_AREA)
        return _photographed(random, scene), small, shape, texture

    def _surface(self, random, texture: int, size_px: int, colours) -> np.ndarray:
        """A texture in two colours, or without one a plain surface or a gradient: float32 `(size_px, size_px, 3)`."""
        dark, bright = colours
        if texture != NONE:
            grey = textures.patch(self.textures[texture], random, size_px).astype(np.float32) / 255
        else:
            grey = np.linspace(0, random.choice([0, 1]), size_px, dtype=np.float32)
            grey = np.broadcast_to(grey if random.random() < 0.5 else grey[:, None], (size_px, size_px))
        return dark + (bright - dark) * grey[:, :, None]

    def _place(self, random, scene: np.ndarray, shape: int, colours) -> tuple[np.ndarray, np.ndarray]:
        """Put an object on the scene, plain or textured, flat or lit from one side. Returns the scene and its mask."""
        size_px = len(scene)
        mask = shapes.instance(self.shapes[shape], random, size_px)
        texture = int(random.integers(len(self.textures))) if random.random() < 0.5 else NONE
        surface = self._surface(random, texture, size_px, colours)
        if random.random() < 0.4:       # rounded: darker towards the outline on the side away from the light
            soft = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), size_px / 14)
            dx, dy = random.integers(-5, 6, 2)
            surface = surface * (0.45 + 0.75 * np.roll(soft, (dy, dx), (0, 1)))[:, :, None]
        alpha = (mask.astype(np.float32) / 255)[:, :, None]
        return scene + (surface - scene) * alpha, mask


def _colours(random: np.random.Generator, unlike=None) -> tuple[np.ndarray, np.ndarray]:
    """Two colours, float32 `(3,)` from 0 to 1, often similar or grey; their mean differs from that of `unlike`."""
    while True:
        first, second = random.random((2, 3))
        if random.random() < 0.3:
            first, second = np.full(3, first.mean()), np.full(3, second.mean())
        second = second + (first - second) * random.uniform(0, 0.7)
        if unlike is None or np.linalg.norm((first + second - unlike[0] - unlike[1]) / 2) > LEAST_CONTRAST:
            return first.astype(np.float32), second.astype(np.float32)


def _photographed(random: np.random.Generator, scene: np.ndarray) -> np.ndarray:
    """Vary light, blur, noise and saturation. Returns uint8 of the same shape."""
    if random.random() < 0.4:
        scene = cv2.GaussianBlur(scene, (0, 0), random.uniform(0.3, 1.5) * len(scene) / 96)
    if random.random() < 0.15:
        scene = np.repeat(scene.mean(axis=2, keepdims=True), 3, axis=2)
    scene = (scene - 0.5) * random.uniform(0.7, 1.3) + 0.5 + random.uniform(-0.15, 0.15)
    if random.random() < 0.3:
        scene = scene + random.standard_normal(scene.shape, np.float32) * random.uniform(0.01, 0.05)
    return np.clip(scene * 255, 0, 255).astype(np.uint8)


_formulas: Formulas | None = None       # in a worker process: set once, when it starts


def _receive(formulas: Formulas) -> None:
    global _formulas
    cv2.setNumThreads(1)
    _formulas = formulas


def _chunk(start: int, images: int, size_px: int) -> list:
    return [_formulas.picture(number, size_px) for number in range(start, min(start + CHUNK, images))]


def generate(formulas: Formulas, images: int, size_px: int, processes: int) -> Pictures:
    """Draw pictures 0 to `images` - 1."""
    made = Pictures(
        np.empty((images, size_px, size_px, 3), np.uint8), np.empty((images, MASK_PX, MASK_PX), np.uint8),
        np.empty((images, 2), np.int32), np.stack([textures.descriptor(tiles[0]) for tiles in formulas.textures]),
    )
    starts = range(0, images, CHUNK)
    with get_context("spawn").Pool(processes, _receive, (formulas,)) as pool:
        chunks = pool.imap(partial(_chunk, images=images, size_px=size_px), starts)
        for start, chunk in zip(starts, tqdm(chunks, total=len(starts), unit="chunk", desc="pictures", disable=None)):
            for number, (picture, mask, shape, texture) in enumerate(chunk, start):
                made.pictures[number], made.masks[number], made.labels[number] = picture, mask, (shape, texture)
    return made


if __name__ == "__main__":
    with reported():
        main()
