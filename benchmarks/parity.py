"""How far each published format agrees with Keras, on real photographs and on every kind of image file.

    python -m benchmarks.parity DATA WEIGHTS [--images 1000]

DATA is a folder with cats_dogs/ and clothing/, WEIGHTS one with Keras's ImageNet weights. A MobileNetV2 1.0 at 224 is
trained on the clothes by the project's own stages and exported in every format. Then Keras in float32, and each format
in a process of its own by `graft predict`, answer the cats and dogs, and some of these as PNG, WebP, CMYK, grey and
turned by EXIF. Printed is the largest difference of any probability; at most 1e-4 is wanted of all but int8.
"""

import argparse
import os
import tempfile
from pathlib import Path

from PIL import Image

from benchmarks.photographs import MOBILENET
from benchmarks.scratch import Project

FORMATS = ["litert", "litert_int8", "openvino"]
OF_EACH_KIND = 20
ORIENTATION = 0x0112            # EXIF's tag; 6 is a quarter turn
SAVE = {
    "PNG": lambda image, path: image.save(path.with_suffix(".png")),
    "WebP": lambda image, path: image.save(path.with_suffix(".webp")),
    "CMYK": lambda image, path: image.convert("CMYK").save(path),
    "grey": lambda image, path: image.convert("L").save(path),
    "EXIF-turned": lambda image, path: image.save(path, exif=_turned()),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--images", type=int, default=1000, help="photographs (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photographs = sorted((arguments.data / "cats_dogs").resolve().rglob("*.jpg"))[:arguments.images]
        kinds = {"photographs": photographs} | write_kinds(photographs[::len(photographs) // OF_EACH_KIND],
                                                          Path(folder, "kinds"))
        train(Path(folder, "project"), arguments.data.resolve(), arguments.weights.resolve())
        compare(Path(folder, "project"), kinds)


def write_kinds(photographs: list[Path], folder: Path) -> dict[str, list[Path]]:
    for name, save in SAVE.items():
        (folder / name).mkdir(parents=True)
        for photograph in photographs:
            save(Image.open(photograph).convert("RGB"), folder / name / photograph.name)
    return {name: sorted((folder / name).iterdir()) for name in SAVE}


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return exif


def train(folder: Path, data: Path, weights: Path) -> None:
    changes = {**MOBILENET, "data.images": str(data / "clothing"), "extract.views": 1, "finetune.epochs": 2,
               "export.formats": FORMATS, "export.int8_agreement": 0.0}
    changes["extract.backbone.weights"] = str(weights / changes.pop("weights"))
    Project(folder, **changes).run("dvc", "repro", "export")


def compare(folder: Path, kinds: dict[str, list[Path]]) -> None:
    """Print a row for each format and kind of image."""
    from tasks import artifacts, export

    os.chdir(folder)            # where the stages' files are
    dataset = open_dataset(artifacts)
    summary = artifacts.read_json(artifacts.FINETUNE_SUMMARY)
    models = export.load_models(dataset, summary, artifacts.FINETUNE_TOP, artifacts.FINETUNE_HEAD)
    print("| images | number | " + " | ".join(["onnx", *FORMATS]) + " |\n|---|---:|" + "---:|" * (1 + len(FORMATS)))
    for kind, paths in kinds.items():
        expected = export.keras_probabilities(artifacts.BUNDLE, models, paths)
        found = [export.compare(expected, export.published_probabilities(artifacts.BUNDLE, paths, format))
                 for format in ["onnx", *FORMATS]]
        cells = [f"{each['largest_difference']:.0e} ({each['same_label']:.1%} the same label)" for each in found]
        print(f"| {kind} | {len(paths)} | " + " | ".join(cells) + " |", flush=True)


def open_dataset(artifacts):
    from pipeline.training import examples
    from tasks.params import DataParams, read_params

    images = Path(read_params("data", DataParams).images)
    return examples.open_dataset(**artifacts.read_extracted(), images=images)


if __name__ == "__main__":
    main()
