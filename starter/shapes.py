"""Shape classes: each is a formula with random numbers drawn once, which yields any number of instances.

Four families: contours of sinusoids (radial contours and "visual atoms": Kataoka et al. 2022, Takashima et al. 2023),
assemblies of simple parts, strokes along splines, and iterated function systems (FractalDB: Kataoka et al. 2020).
"""

from dataclasses import dataclass

import cv2
import numpy as np

PROTOTYPE_PX = 32
LARGEST_CORRELATION = 0.9       # of the blurred prototypes of any two shape classes
SUBPIXEL_BITS = 4               # OpenCV draws in sixteenths of a pixel
ANGLES = np.linspace(0, 2 * np.pi, 96, endpoint=False)


@dataclass(frozen=True)
class Shape:
    """A shape class. Coordinates run from -1 to 1, y downwards.

    Attributes:
        filled: outlines, float `(points, 2)` each, of the filled parts.
        strokes: open or closed curves, float `(points, 2)` each, drawn as lines.
        points: float `(points, 2)`, drawn as dots: a fractal's attractor.
    """

    family: str
    filled: tuple[np.ndarray, ...] = ()
    strokes: tuple[np.ndarray, ...] = ()
    points: np.ndarray | None = None


def contour(random: np.random.Generator) -> Shape:
    """A closed outline whose radius is a sum of sinusoids of the angle, sometimes with smaller copies inside."""
    radius = np.ones_like(ANGLES)
    for frequency in random.choice(np.arange(1, 10), random.integers(1, 4), replace=False):
        radius += random.uniform(0.15, 0.5) * np.sin(frequency * ANGLES + random.uniform(0, 2 * np.pi))
    radius = np.abs(radius) * (1 + random.uniform(0, 0.25) * np.sign(np.sin(random.integers(3, 12) * ANGLES)))
    squeeze = random.uniform(0.5, 1)
    outline = np.stack([radius * np.cos(ANGLES) * squeeze, radius * np.sin(ANGLES)], axis=1)
    copies = random.integers(0, 4)
    if copies:
        scales = np.linspace(1, random.uniform(0.2, 0.6), copies + 1)
        return Shape("contour", strokes=tuple(_closed(outline) * scale for scale in scales))
    return Shape("contour", filled=(outline,))


def assembly(random: np.random.Generator) -> Shape:
    """Two to four ellipses and trapezia side by side, often mirrored, like the silhouettes of objects."""
    parts = []
    for _ in range(random.integers(2, 5)):
        centre, size = random.uniform(-0.7, 0.7, 2), random.uniform(0.2, 0.8, 2)
        if random.random() < 0.5:
            part = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1) * size
        else:
            top, bottom = random.uniform(0.2, 1, 2)
            part = np.array([[-top, -1], [top, -1], [bottom, 1], [-bottom, 1]]) * size
        part = part @ _rotation(random.uniform(-0.6, 0.6)) + centre
        parts.append(part)
        if random.random() < 0.5:
            parts.append(part * [-1, 1])
    return Shape("assembly", filled=tuple(parts))


def glyph(random: np.random.Generator) -> Shape:
    """One to three strokes along smooth curves through a few points, like a letter of an unknown script."""
    strokes = []
    for _ in range(random.integers(1, 4)):
        points = random.uniform(-1, 1, (random.integers(3, 6), 2))
        closed = random.random() < 0.25
        strokes.append(_spline(points, closed) if random.random() < 0.75 else points)
    return Shape("glyph", strokes=tuple(strokes))


def fractal(random: np.random.Generator) -> Shape:
    """The attractor of two to four affine maps, all contractions: their singular values are below 1."""
    count = random.integers(2, 5)
    contractions = np.sort(random.uniform(0.2, 0.9, (count, 2)))
    maps = np.stack([
        _rotation(random.uniform(0, 2 * np.pi)) @ np.diag(each) @ _rotation(random.uniform(0, 2 * np.pi))
        for each in contractions
    ])
    moves, shares = random.uniform(-1, 1, (count, 2)), contractions.prod(axis=1)
    points = np.zeros((2000, 2))
    for _ in range(14):
        chosen = random.choice(count, len(points), p=shares / shares.sum())
        points = np.einsum("nij,nj->ni", maps[chosen], points) + moves[chosen]
    return Shape("fractal", points=points)


FAMILIES = {"contour": contour, "assembly": assembly, "glyph": glyph, "fractal": fractal}


def make_classes(counts: dict[str, int], seed: int) -> list[Shape]:
    """Draw `counts` classes of each family. A class that is nearly empty or resembles an earlier one is redrawn."""
    random, shapes, prototypes = np.random.default_rng((seed, 1)), [], []
    for family, count in counts.items():
        first = len(shapes)
        while len(shapes) < first + count:
            shape = _normalised(FAMILIES[family](random))
            seen = prototype(shape)
            if seen is not None and all(float(seen @ other) < LARGEST_CORRELATION for other in prototypes):
                shapes.append(shape)
                prototypes.append(seen)
    return shapes


def prototype(shape: Shape) -> np.ndarray | None:
    """The shape upright, small and blurred, as a vector of mean 0 and length 1; None if it is nearly empty or full."""
    mask = draw(shape, np.array([[0.85, 0, 0], [0, 0.85, 0]]), PROTOTYPE_PX, thickness=0.06)
    if not 0.06 < mask.mean() / 255 < 0.85:
        return None
    vector = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.2).ravel()
    vector -= vector.mean()
    return vector / np.linalg.norm(vector)


def instance(shape: Shape, random: np.random.Generator, size_px: int) -> np.ndarray:
    """Mask of a random instance, uint8 `(size_px, size_px)`, 0 to 255: rotated, sheared, stretched, shifted, bent."""
    scale = random.uniform(0.55, 0.95)
    stretch = np.exp(random.uniform(-0.2, 0.2))
    shear = np.array([[1, random.uniform(-0.25, 0.25)], [random.uniform(-0.15, 0.15), 1]])
    matrix = _rotation(random.uniform(-0.35, 0.35)) @ shear @ np.diag([scale * stretch, scale / stretch])
    moved = random.uniform(-1, 1, 2) * (1.05 - scale)
    wobble = random.normal(0, 0.05, (2, 2, 2))
    return draw(shape, np.hstack([matrix, moved[:, None]]), size_px, random.uniform(0.06, 0.22) * scale, wobble)


def draw(shape: Shape, matrix: np.ndarray, size_px: int, thickness: float, wobble=None) -> np.ndarray:
    """Draw the shape's mask, uint8 `(size_px, size_px)`.

    Args:
        matrix: affine map, float `(2, 3)`, in units of half the picture's side.
        thickness: of strokes, in the same units.
        wobble: amplitudes, float `(2, 2, 2)`, of a smooth bending of the plane before `matrix`; None for no bending.
    """
    mask = np.zeros((size_px, size_px), np.uint8)

    def pixels(points):
        if wobble is not None:
            waves = np.stack([np.sin(2.5 * points), np.cos(2.5 * points)], axis=2)          # (points, 2, 2)
            points = points + np.einsum("njk,ijk->ni", waves, wobble)
        return (points @ matrix[:, :2].T + matrix[:, 2] + 1) * size_px / 2

    def fixed(points):
        return np.round(pixels(points) * 2**SUBPIXEL_BITS).astype(np.int32)

    for outline in shape.filled:
        cv2.fillPoly(mask, [fixed(outline)], 255, cv2.LINE_AA, SUBPIXEL_BITS)
    for stroke in shape.strokes:
        width_px = max(1, round(thickness * size_px / 2))
        cv2.polylines(mask, [fixed(stroke)], False, 255, width_px, cv2.LINE_AA, SUBPIXEL_BITS)
    if shape.points is not None:
        _draw_dots(mask, pixels(shape.points), thickness)
    return mask


def _draw_dots(mask, points, thickness) -> None:
    at = np.floor(points).astype(int)
    at = at[((at >= 0) & (at < len(mask))).all(axis=1)]
    mask[at[:, 1], at[:, 0]] = 255
    if thickness * len(mask) > 3:
        cv2.dilate(mask, np.ones((2, 2), np.uint8), dst=mask)
    cv2.GaussianBlur(mask, (3, 3), 0, dst=mask)


def _normalised(shape: Shape) -> Shape:
    """Shift and scale the shape to fit exactly into -1 to 1."""
    everything = np.concatenate([*shape.filled, *shape.strokes, *([] if shape.points is None else [shape.points])])
    low, high = everything.min(axis=0), everything.max(axis=0)

    def fit(points):
        return (points - (low + high) / 2) * 2 / max(1e-6, (high - low).max())

    points = None if shape.points is None else fit(shape.points)
    return Shape(shape.family, tuple(map(fit, shape.filled)), tuple(map(fit, shape.strokes)), points)


def _spline(points: np.ndarray, closed: bool) -> np.ndarray:
    """A Catmull-Rom curve through the points, float `(12 × segments, 2)`."""
    around = np.concatenate([points[-1:], points, points[:2]] if closed else [points[:1], points, points[-1:]])
    t = np.linspace(0, 1, 12)[:, None]
    pieces = []
    for a, b, c, d in zip(around, around[1:], around[2:], around[3:]):
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.concatenate(pieces)


def _closed(outline: np.ndarray) -> np.ndarray:
    return np.concatenate([outline, outline[:1]])


def _rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
