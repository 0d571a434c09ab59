"""Photographs made of noise: any two differ as much as two photographs do, and all are the same in every run."""

import io
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, width_px: int = 160, height_px: int = 120) -> Image.Image:
    """RGB; structure at all scales, its amplitude falling as 1 / frequency as in photographs."""
    random = np.random.default_rng(seed)
    y, x = np.fft.fftfreq(height_px)[:, None], np.fft.fftfreq(width_px)[None]
    spectrum = 1 / np.maximum(np.hypot(x, y), 1 / max(width_px, height_px))
    noise = np.fft.fft2(random.normal(size=(3, height_px, width_px)), axes=(1, 2))
    planes = np.fft.ifft2(noise * spectrum, axes=(1, 2)).real
    planes = 128 + 50 * (planes - planes.mean()) / planes.std()
    return Image.fromarray(planes.clip(0, 255).astype(np.uint8).transpose(1, 2, 0))


def jpeg(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def write_classes(folder: Path, counts: dict[str, int], seed: int = 0) -> None:
    """`counts` of distinct pictures for each class, as JPEG files 0.jpg, 1.jpg …"""
    for label, count in counts.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            seed += 1
            (folder / label / f"{number}.jpg").write_bytes(jpeg(picture(seed)))
