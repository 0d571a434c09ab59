"""How closely each published format agrees with Keras, on real photographs and on every kind of image file.

    python -m benchmarks.parity DATA WEIGHTS [--images 1000]

DATA holds cats_dogs/ and clothing/, WEIGHTS holds Keras's ImageNet weights. The project's stages train a MobileNetV2
1.0 at 224 pixels on the clothes and export it in every format. Then Keras in float32, and each format in its own
process through `graft predict`, classify photographs of cats and dogs, and some of them as PNG, WebP, CMYK, grey and
turned by EXIF. The figure is the largest difference of any probability. Target: at most 1e-4, except for int8.
"""

import os
import tempfile
from pathlib import Path

from PIL import Image

from benchmarks.command import begin
from benchmarks.inputs import mobilenet
from benchmarks.markdown import print_head, print_row
from benchmarks.scratch import Project
from graft.errors import reported

FORMATS = ["onnx_int8", "litert", "litert_int8", "openvino"]
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
    options = begin(__doc__, "data", "weights", images=1000)
    with tempfile.TemporaryDirectory() as folder:
        photographs = sorted((options.data / "cats_dogs").resolve().rglob("*.jpg"))[:options.images]
        kinds = {"photographs": photographs} | write_kinds(photographs[::len(photographs) // OF_EACH_KIND],
                                                          Path(folder, "kinds"))
        train(Path(folder, "project"), options.data.resolve(), options.weights.resolve())
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
    changes = {**mobilenet(weights), "data.images": str(data / "clothing"), "extract.views": 1, "finetune.epochs": 2,
               "export.formats": FORMATS, "export.int8_agreement": 0.0}
    Project(folder, **changes).run("dvc", "repro", "export")


def compare(folder: Path, kinds: dict[str, list[Path]]) -> None:
    """Print a row for each kind of image."""
    from pipeline.training import examples, parity
    from tasks import artifacts, export
    from tasks.data import DataParams
    from tasks.params import read_params

    os.chdir(folder)            # the stages' files are relative to it
    images = Path(read_params("data", DataParams).images)
    dataset = examples.open_dataset(**artifacts.read_extracted(), images=images)
    model = export.load_model(dataset, artifacts.read_json(artifacts.FINETUNE_SUMMARY)["kept"])
    print_head("images", "number", "onnx", *FORMATS)
    for kind, paths in kinds.items():
        expected = parity.keras_answers(artifacts.BUNDLE, model, paths)
        found = [parity.compare(expected, parity.published_answers(artifacts.BUNDLE, paths, name))
                 for name in ["onnx", *FORMATS]]
        cells = [f"{each['largest_difference']:.0e} ({each['same_label']:.1%} the same label)" for each in found]
        print_row(kind, len(paths), *cells)


if __name__ == "__main__":
    with reported():
        main()
