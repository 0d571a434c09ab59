"""Random views of an image, made by one geometric resampling and one colour matrix.

Rotation, shift, shear, zoom, stretch, crop and flip multiply into one affine matrix. Lens distortion bends the same
sampling grid, so that each pixel is interpolated only once. Brightness, contrast, saturation and hue are linear in RGB
and multiply into one matrix, too. OpenCV does the arithmetic on pixels.
"""

import hashlib

import cv2
import numpy as np
from PIL import Image

# NTSC's luma and chroma from RGB (ITU-R BT.470, rounded as in the standard): hue rotates the chroma plane
RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def generator(seed: int, image_sha256: str, view: int) -> np.random.Generator:
    """Random numbers that depend only on the seed, the image's bytes and the view's number."""
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
    """Make one random view of an image, of the same size. Each argument is the largest change; 0 switches it off.

    Args:
        image: uint8 `(height, width, 3)`, RGB in 0 to 255.
        random: see `generator`.
        rotation_degrees: rotation to either side.
        shift: in either direction, as a share of the height and of the width.
        shear: in x and in y, as a tangent.
        zoom: magnifies or shrinks by a factor from 1 - zoom to 1 + zoom.
        stretch: multiplies the aspect ratio by a factor from 1 / (1 + stretch) to 1 + stretch.
        crop: the share of the area that is cut away; the rest is enlarged.
        horizontal_flip: whether half of the views are mirrored.
        lens_distortion: the radial coefficient at the middle of the nearer edge, from pincushion (negative) to barrel.
        brightness, contrast, saturation: multiply by a factor from 1 - this to 1 + this.
        hue_degrees: rotation of the hue to either side.

    Returns:
        uint8 `(height, width, 3)`. The picture is continued beyond its edges by its mirror image.
    """
    geometry = _geometry(
        random, image.shape[:2], rotation_degrees, shift, shear, zoom, stretch, crop, horizontal_flip
    )
    bend = random.uniform(-lens_distortion, lens_distortion)
    view = _resample(image, geometry, bend)
    return _recolour(view, _colours(random, view, brightness, contrast, saturation, hue_degrees))


def contact_sheet(rows: list[list[np.ndarray]], cell_px: int = 128) -> Image.Image:
    """Arrange views in one picture, a row per image.

    Args:
        rows: the views of each image, uint8 `(height, width, 3)`.
        cell_px: both sides of a cell.
    """
    sheet = Image.new("RGB", (cell_px * max(map(len, rows)), cell_px * len(rows)), "white")
    for top, row in enumerate(rows):
        for left, view in enumerate(row):
            sheet.paste(Image.fromarray(view).resize((cell_px, cell_px)), (left * cell_px, top * cell_px))
    return sheet


def _geometry(random, size_px, rotation_degrees, shift, shear, zoom, stretch, crop, horizontal_flip) -> np.ndarray:
    """The 3 × 3 matrix that maps a pixel of the view to one of the image, both measured from the centre."""
    angle = np.deg2rad(random.uniform(-rotation_degrees, rotation_degrees))
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    shear_x, shear_y = random.uniform(-shear, shear, 2)
    shearing = np.array([[1, shear_x, 0], [shear_y, 1, 0], [0, 0, 1]])
    size = 1 / random.uniform(1 - zoom, 1 + zoom)
    aspect = (1 + stretch) ** (random.uniform(-1, 1) / 2)
    mirror = -1 if horizontal_flip and random.random() < 0.5 else 1
    scaling = np.diag([mirror * size * aspect, size / aspect, 1])
    kept = np.sqrt(1 - random.uniform(0, crop))         # share of each side
    height, width = size_px
    moves = random.uniform(-1, 1, 2) * shift + random.uniform(-0.5, 0.5, 2) * (1 - kept)
    moving = np.array([[1, 0, moves[0] * width], [0, 1, moves[1] * height], [0, 0, 1]])
    return moving @ rotation @ shearing @ scaling @ np.diag([kept, kept, 1])


def _resample(image: np.ndarray, geometry: np.ndarray, bend: float) -> np.ndarray:
    height, width = image.shape[:2]
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    if not bend:                # four times as fast as mapping every pixel
        to_centre, back = np.eye(3), np.eye(3)
        to_centre[:2, 2], back[:2, 2] = (-centre_x, -centre_y), (centre_x, centre_y)
        matrix = (back @ geometry @ to_centre)[:2]
        four_channels = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)     # takes two thirds of the time, with equal results
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
    """The 3 × 4 matrix that maps RGB and 1 to RGB."""
    bright, contrasted, saturated = (1 + random.uniform(-each, each) for each in (brightness, contrast, saturation))
    angle = np.deg2rad(random.uniform(-hue_degrees, hue_degrees))
    turned = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    chroma = np.eye(3)
    chroma[1:, 1:] = saturated * np.array(turned)
    matrix = contrasted * bright * np.linalg.inv(RGB_TO_YIQ) @ chroma @ RGB_TO_YIQ
    grey = bright * (RGB_TO_YIQ[0] @ cv2.mean(image)[:3])        # contrast changes around the picture's mean grey
    return np.hstack([matrix, np.full((3, 1), (1 - contrasted) * grey)])


def _recolour(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return image if np.allclose(matrix, np.eye(3, 4)) else cv2.transform(image, matrix)
