"""Stage `sample`: write the demo's images, scikit-learn's 1,797 handwritten digits, as PNG files."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import Field

from graft.errors import reported
from tasks.params import params, read_params

FOLDER = Path("data/sample")
WHITE = 16      # the digits' values are 0 (paper) to 16 (ink)


@params
class SampleParams:
    """How the sample images are drawn."""

    size_px: int = Field(ge=8, le=512)


def main() -> None:
    """Run the stage and print the number of images."""
    count = write_digits(FOLDER, read_params("sample", SampleParams).size_px)
    print(f"{count} images of handwritten digits in {FOLDER}")


def write_digits(folder: Path, size_px: int) -> int:
    """Write `folder/<digit>/<number>.png`, dark on white, all or none. An existing folder is replaced.

    Args:
        folder: for the class folders.
        size_px: side of the square images.

    Returns:
        The number of images.
    """
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        for number, (pixels, digit) in enumerate(zip(digits.images, digits.target)):    # pixels (8, 8), 0 to 16
            image = Image.fromarray((255 - pixels * 255 / WHITE).round().astype(np.uint8))
            path = Path(temporary, "digits", str(digit), f"{number:04}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            image.resize((size_px, size_px), Image.Resampling.BICUBIC).save(path)
        shutil.rmtree(folder, ignore_errors=True)
        Path(temporary, "digits").replace(folder)
    return len(digits.images)


if __name__ == "__main__":
    with reported():
        main()
