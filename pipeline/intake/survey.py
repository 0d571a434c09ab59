"""Look at an image folder for about a second: its classes and splits, and what kind of pictures a few of them are."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from graft.errors import GraftError
from graft.images import UnreadableImage, decode, identify, read_bytes
from pipeline.arguments import WrongArgument
from pipeline.intake.listing import Listing, list_files

PHOTOGRAPHS, GREY, DRAWINGS = "colour photographs", "grey pictures", "drawings or screenshots"
READ = 24               # images, spread over the folder
LOOKED_AT = (96, 96)    # pixels: a large JPEG is decoded at a fraction of its size
ROWS = 500              # of pixels, spread over an image, that are looked at
COLOURLESS = 8          # of 255: channels that differ by less are grey, also after JPEG's rounding
FLAT_SHARE = 0.6        # of neighbouring pixels alike: photographs have less, drawings more


@dataclass(frozen=True)
class Survey:
    """What was seen.

    Attributes:
        listing: every file with its label.
        split_folders: whether a level of the folders is train, val and test.
        kind: `PHOTOGRAPHS`, `GREY` or `DRAWINGS`, whichever most of the images are that were read.
        size_px: the median (width, height) of these.
        read: how many these are.
    """

    listing: Listing
    split_folders: bool
    kind: str
    size_px: tuple[int, int]
    read: int


def survey(images: Path, labels_from: str = "path", check_folders: bool = True) -> Survey:
    """List an image folder, and read a few of its images.

    Args:
        images: the folder.
        labels_from, check_folders: see `pipeline.intake.listing.list_files`.

    Raises:
        WrongArgument: if the folder names no classes, or leaves a question that only the user can answer.
        GraftError: if its label table has mistakes, or none of its images can be read.
    """
    listing, split_folders = _list(images, labels_from, check_folders)
    step = max(1, len(listing.files) // READ)
    seen, reasons = [], {}
    for file in listing.files[::step][:READ]:
        try:
            seen.append(_look(images / file.path))
        except UnreadableImage as error:
            reasons[file.path] = error
    if not seen:
        found = "; ".join(f"{path}: {reason}" for path, reason in list(reasons.items())[:3]) or "no files"
        raise GraftError(f"none of the images in '{images}' that were tried can be read. Expected JPEG, PNG, WebP, "
                         f"GIF, BMP or TIFF files; found {found}.")
    kinds = [kind for kind, _, _ in seen]
    size_px = (int(median(width for _, width, _ in seen)), int(median(height for _, _, height in seen)))
    kind = max(sorted(set(kinds)), key=kinds.count)
    return Survey(listing, split_folders, kind, size_px, len(seen))


def _list(images: Path, labels_from: str, check_folders: bool) -> tuple[Listing, bool]:
    """The listing, and whether the folders are splits, which is tried if they are named like splits."""
    try:
        return list_files(images, labels_from, False, check_folders), False
    except WrongArgument as error:
        if set(error.problems) != {"split_folders"}:
            raise
        return list_files(images, labels_from, True, check_folders), True


def _look(path: Path) -> tuple[str, int, int]:
    """The kind of one image, and its width and height in pixels."""
    data = read_bytes(path)
    size = identify(data).size
    rows = np.asarray(decode(data, at_least=LOOKED_AT))
    pixels = rows[::-(-len(rows) // ROWS)].astype(np.int16)
    if np.percentile(pixels.max(axis=2) - pixels.min(axis=2), 99) < COLOURLESS:
        return GREY, *size
    steps = np.abs(np.diff(pixels, axis=1)).max(axis=2)
    return (DRAWINGS if (steps <= 1).mean() > FLAT_SHARE else PHOTOGRAPHS), *size
