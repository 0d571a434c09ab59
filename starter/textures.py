"""Texture classes: each is a formula for grey tiles, from which random patches are cut.

Five families: noise with a power-law spectrum and its ridges, hair (noise stretched along a curved field), waves
(stripes, checks, plaids), cells (distances to random points), and dead leaves (Lee, Mumford and Huang 2001; for
pre-training: Baradad et al. 2021).
"""

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

TILE_PX = 256
STANDARD_PX = 96                # in pictures of this side, a pixel is about one pixel of the tile
TILES = 2                       # per class, so that a class is a formula and not one picture
SMALLEST_DISTANCE = 0.4         # between the descriptors of any two texture classes

Tile = Callable[[np.random.Generator], np.ndarray]


def noise(random: np.random.Generator) -> Tile:
    """Noise whose amplitude falls as a power of the frequency; plain, ridged or folded by a sine."""
    return partial(
        _noise, power=random.uniform(0.7, 2.4), angle=random.uniform(0, np.pi), draw_out=np.exp(random.uniform(0, 1.2)),
        form=random.integers(3), warp=random.choice([0, 0, 12]),
    )


def hair(random: np.random.Generator) -> Tile:
    """Noise stretched 8 to 24 times along a curved field."""
    return partial(
        _noise, power=random.uniform(0.3, 1.1), angle=random.uniform(0, np.pi), draw_out=random.uniform(8, 24), form=0,
        warp=random.uniform(8, 40),
    )


def waves(random: np.random.Generator) -> Tile:
    """One to three sinusoids of the class's directions and wavelengths, from soft to hard-edged."""
    count = random.integers(1, 4)
    return partial(
        _waves, angles=random.uniform(0, np.pi, count), waves=np.exp(random.uniform(np.log(8), np.log(60), count)),
        hardness=np.exp(random.uniform(0, 3)), product=random.random() < 0.5, warp=random.choice([0, 5, 15]),
    )


def cells(random: np.random.Generator) -> Tile:
    """The distance to the nearest of many random points: bubbles, cracks, spots."""
    return partial(
        _cells, spacing_px=np.exp(random.uniform(np.log(8), np.log(50))), form=random.integers(3),
        squeeze=np.exp(random.uniform(-0.8, 0.8)),
    )


def leaves(random: np.random.Generator) -> Tile:
    """Opaque leaves on top of each other, with sizes that follow a power law."""
    return partial(
        _leaves, smallest_px=random.uniform(2, 10), power=random.uniform(1, 3), corners=random.choice([3, 4, 6, 40]),
        squeeze=random.uniform(0.25, 1), turned=random.random() < 0.6,
    )


FAMILIES = {"noise": noise, "hair": hair, "waves": waves, "cells": cells, "leaves": leaves}


def make_classes(counts: dict[str, int], seed: int) -> list[list[np.ndarray]]:
    """Draw the tiles of each class, uint8 `(TILE_PX, TILE_PX)`. A class that resembles an earlier one is redrawn."""
    random, classes, seen = np.random.default_rng((seed, 2)), [], []
    for family, count in counts.items():
        first = len(classes)
        while len(classes) < first + count:
            formula = FAMILIES[family](random)
            tiles = [_equalised(formula(random)) for _ in range(TILES)]
            described = descriptor(tiles[0])
            if all(np.linalg.norm(described - other) > SMALLEST_DISTANCE for other in seen):
                classes.append(tiles)
                seen.append(described)
    return classes


def descriptor(tile: np.ndarray) -> np.ndarray:
    """The strength of a tile's edges at four scales and in eight directions, float `(40,)`."""
    found = []
    for scale in range(4):
        small = cv2.resize(tile, None, fx=0.5**scale, fy=0.5**scale, interpolation=cv2.INTER_AREA)
        small = small.astype(np.float32) / 255
        x, y = cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1)
        strength, angle = np.hypot(x, y), np.arctan2(y, x) % np.pi
        share = np.histogram(angle, 8, (0, np.pi), weights=strength)[0] / (strength.sum() + 1e-9)
        found += [np.log(strength.mean() + 1e-3), np.log(strength.std() + 1e-3), *share * 2]
    return np.array(found)


def patch(tiles: list[np.ndarray], random: np.random.Generator, size_px: int) -> np.ndarray:
    """A random patch of a class's tiles, slightly rotated and scaled, uint8 `(size_px, size_px)`."""
    tile, angle = tiles[random.integers(len(tiles))], random.uniform(-0.35, 0.35)
    step = np.exp(random.uniform(-0.35, 0.25)) * STANDARD_PX / size_px
    turn = step * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.hstack([turn, random.uniform(0, TILE_PX, (2, 1))]).astype(np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(tile, matrix, (size_px, size_px), flags=flags, borderMode=cv2.BORDER_REFLECT_101)


def _noise(random, power, angle, draw_out, form, warp) -> np.ndarray:
    y, x = np.meshgrid(np.fft.fftfreq(TILE_PX), np.fft.rfftfreq(TILE_PX), indexing="ij")
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    frequency = np.hypot(along * draw_out, across) + 1 / TILE_PX
    spectrum = np.fft.rfft2(random.standard_normal((TILE_PX, TILE_PX))) * frequency**-power
    spectrum[0, 0] = 0
    tile = np.fft.irfft2(spectrum, (TILE_PX, TILE_PX))
    tile = (tile / tile.std(), np.abs(tile), np.sin(4 * tile / tile.std()))[form]
    return _warped(random, tile, warp)


def _waves(random, angles, waves, hardness, product, warp) -> np.ndarray:
    y, x = np.mgrid[:TILE_PX, :TILE_PX]
    each = [
        np.tanh(hardness * np.sin((x * np.cos(a) + y * np.sin(a)) * 2 * np.pi / w + random.uniform(0, 2 * np.pi)))
        for a, w in zip(angles, waves)
    ]
    return _warped(random, np.prod(each, axis=0) if product else np.sum(each, axis=0), warp)


def _cells(random, spacing_px, form, squeeze) -> np.ndarray:
    large = np.full((TILE_PX, int(TILE_PX * 2.3)), 255, np.uint8)
    count = int(large.size / spacing_px**2)
    large[random.integers(0, large.shape[0], count), random.integers(0, large.shape[1], count)] = 0
    distance, nearest = cv2.distanceTransformWithLabels(large, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    shade = random.random(nearest.max() + 1)[nearest]
    tile = (distance, shade, np.where(distance < spacing_px * 0.3, 1.0, 0.0) + 0.2 * shade)[form]
    width = int(np.clip(TILE_PX * squeeze, 120, tile.shape[1]))
    return cv2.resize(tile[:, :width].astype(np.float32), (TILE_PX, TILE_PX))


def _leaves(random, smallest_px, power, corners, squeeze, turned) -> np.ndarray:
    tile = np.zeros((TILE_PX, TILE_PX), np.float32)
    sizes = np.minimum(smallest_px * random.random(int(min(2500, 12000 / smallest_px))) ** (-1 / power), 80)
    corner_angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    outline = np.stack([np.cos(corner_angles), squeeze * np.sin(corner_angles)], axis=1)
    for size in sizes:
        angle = random.uniform(0, np.pi) if turned else 0.3
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = outline @ turn * size + random.uniform(0, TILE_PX, 2)
        cv2.fillPoly(tile, [np.round(points * 16).astype(np.int32)], random.random(), cv2.LINE_8, 4)
    return tile


def _warped(random, tile, amplitude_px) -> np.ndarray:
    if not amplitude_px:
        return tile
    low = [cv2.resize(random.standard_normal((6, 6)), (TILE_PX, TILE_PX), interpolation=cv2.INTER_CUBIC) for _ in "xy"]
    y, x = np.mgrid[:TILE_PX, :TILE_PX]
    from_x, from_y = ((at + amplitude_px * by).astype(np.float32) for at, by in zip((x, y), low))
    return cv2.remap(tile.astype(np.float32), from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def _equalised(tile: np.ndarray) -> np.ndarray:
    low, high = np.percentile(tile, [2, 98])
    return np.clip((tile - low) / max(1e-9, high - low) * 255, 0, 255).astype(np.uint8)
