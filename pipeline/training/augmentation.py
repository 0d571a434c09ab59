"""Random views of an image: one geometric resample and one colour matrix, whatever is asked for.

Rotation, shift, shear, zoom, stretch, crop and flip multiply into one affine matrix; lens distortion bends the same
sampling grid, so that each pixel is interpolated once. Brightness, contrast, saturation and hue are all linear in RGB
and multiply into one matrix too. OpenCV does the arithmetic on pixels.
"""

import hashlib

import cv2
import numpy as np
from PIL import Image

# NTSC's luma and chroma of RGB: hue is a rotation of the chroma plane (ITU-R BT.470, rounded as in the standard)
RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def generator(seed: int, image_sha256: str, view: int) -> np.random.Generator:
    """Random numbers that depend on the seed, the image's bytes and the view's number, and on nothing else."""
    digest = hashlib.sha256(f"{seed}:{image_sha256}:{view}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def augment(
    image: np.ndarray,
    random: np.random.Generator,
    *,
    rotation_degrees: float = 0,
    shift: float = 0,
    shear: float = 0,
    zoom: float = 0,
    stretch: float = 0,
    crop: float = 0,
    horizontal_flip: bool = False,
    lens_distortion: float = 0,
    brightness: float = 0,
    contrast: float = 0,
    saturation: float = 0,
    hue_degrees: float = 0,
) -> np.ndarray:
    """One random view of an image, of the same size.

    Args:
        image: uint8 `(height, width, 3)`, RGB in 0 to 255.
        random: see `generator`.
        rotation_degrees: up to this to either side.
        shift: up to this share of height and of width, in each direction.
        shear: up to this tangent, in x and in y.
        zoom: magnified or shrunk by a factor in 1 - zoom to 1 + zoom.
        stretch: width over height is changed by a factor in 1 / (1 + stretch) to 1 + stretch.
        crop: up to this share of the area is cut away, and the rest enlarged.
        horizontal_flip: mirrored in every second view.
        lens_distortion: radial coefficient in -this (pincushion) to this (barrel), at the middle of the nearer edge.
        brightness, contrast, saturation: a factor in 1 - this to 1 + this.
        hue_degrees: rotation of the hue, up to this to either side.

    Returns:
        uint8 `(height, width, 3)`. What lies outside the picture is filled with its mirror image.
    """
    geometry = _geometry(
        random, image.shape[:2], rotation_degrees, shift, shear, zoom, stretch, crop, horizontal_flip
    )
    bend = random.uniform(-lens_distortion, lens_distortion)
    view = _resample(image, geometry, bend)
    return _recolour(view, _colours(random, view, brightness, contrast, saturation, hue_degrees))


def contact_sheet(rows: list[list[np.ndarray]], cell_px: int = 128) -> Image.Image:
    """A picture of pictures: one row per image, uint8 `(height, width, 3)` views side by side."""
    sheet = Image.new("RGB", (cell_px * max(map(len, rows)), cell_px * len(rows)), "white")
    for top, row in enumerate(rows):
        for left, view in enumerate(row):
            sheet.paste(Image.fromarray(view).resize((cell_px, cell_px)), (left * cell_px, top * cell_px))
    return sheet


def _geometry(random, size_px, rotation_degrees, shift, shear, zoom, stretch, crop, horizontal_flip) -> np.ndarray:
    """3 × 3 matrix from a pixel of the view to one of the image, both measured from the centre."""
    angle = np.deg2rad(random.uniform(-rotation_degrees, rotation_degrees))
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    shear_x, shear_y = random.uniform(-shear, shear, 2)
    shearing = np.array([[1, shear_x, 0], [shear_y, 1, 0], [0, 0, 1]])
    size = 1 / random.uniform(1 - zoom, 1 + zoom)
    aspect = (1 + stretch) ** (random.uniform(-1, 1) / 2)
    mirror = -1 if horizontal_flip and random.random() < 0.5 else 1
    scaling = np.diag([mirror * size * aspect, size / aspect, 1])
    kept = np.sqrt(1 - random.uniform(0, crop))         # of each side
    height, width = size_px
    moves = random.uniform(-1, 1, 2) * shift + random.uniform(-0.5, 0.5, 2) * (1 - kept)
    moving = np.array([[1, 0, moves[0] * width], [0, 1, moves[1] * height], [0, 0, 1]])
    return moving @ rotation @ shearing @ scaling @ np.diag([kept, kept, 1])


def _resample(image: np.ndarray, geometry: np.ndarray, bend: float) -> np.ndarray:
    height, width = image.shape[:2]
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    if not bend:                # four times as fast as a map of every pixel
        to_centre, back = np.eye(3), np.eye(3)
        to_centre[:2, 2], back[:2, 2] = (-centre_x, -centre_y), (centre_x, centre_y)
        matrix = (back @ geometry @ to_centre)[:2]
        four_channels = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)     # two thirds of the time of three, the same numbers
        view = cv2.warpAffine(four_channels, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                              borderMode=cv2.BORDER_REFLECT_101)
        return cv2.cvtColor(view, cv2.COLOR_RGBA2RGB)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x - centre_x, y - centre_y
    factor = 1 + bend * (x**2 + y**2) / (min(height, width) / 2) ** 2
    x, y = x * factor, y * factor
    matrix = geometry.astype(np.float32)
    from_x = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] + centre_x
    from_y = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] + centre_y
    return cv2.remap(image, from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def _colours(random, image, brightness, contrast, saturation, hue_degrees) -> np.ndarray:
    """3 × 4 matrix from RGB and 1 to RGB."""
    bright, contrasted, saturated = (1 + random.uniform(-each, each) for each in (brightness, contrast, saturation))
    angle = np.deg2rad(random.uniform(-hue_degrees, hue_degrees))
    turned = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    chroma = np.eye(3)
    chroma[1:, 1:] = saturated * np.array(turned)
    matrix = contrasted * bright * np.linalg.inv(RGB_TO_YIQ) @ chroma @ RGB_TO_YIQ
    grey = bright * (RGB_TO_YIQ[0] @ cv2.mean(image)[:3])        # contrast is measured from the picture's mean grey
    return np.hstack([matrix, np.full((3, 1), (1 - contrasted) * grey)])


def _recolour(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return image if np.allclose(matrix, np.eye(3, 4)) else cv2.transform(image, matrix)
