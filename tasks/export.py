"""Stage `export`: write finetune's model as a bundle, calibrated on val, and compare it with Keras.

Each format is checked in its own process, which loads nothing but the bundle, as users do. If one disagrees, the stage
fails and the previous bundle stays.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import Field

from graft.errors import GraftError, reported
from tasks.params import DataParams, params, read_params

PARITY_IMAGES = 64              # from val; at least one per class
CALIBRATION_IMAGES = 200        # from train, for the ranges of an int8 model; LiteRT's guide advises 100 to 500
AGREEMENTS = {"same_label": "label", "same_unknown": "answer to whether an image is unknown"}


@params
class ExportParams:
    """Which formats are written, and how closely each must agree with Keras."""

    unknown_acceptance: float = Field(ge=0.5, le=1)
    parity_tolerance: float = Field(gt=0, le=0.1)
    formats: list[Literal["litert", "litert_int8", "openvino"]]
    int8_agreement: float = Field(ge=0, le=1)


def load_models(dataset, head_shape: dict, top_weights: Path, head_weights: Path):
    """Build finetune's model in float32.

    Args:
        dataset: see `pipeline.training.examples.open_dataset`.
        head_shape: keyword arguments of `pipeline.training.heads.build_head`.
        top_weights: weights that finetune wrote.
        head_weights: likewise.

    Returns:
        The frozen part, the top and the head.
    """
    from pipeline.training import heads

    frozen, top = dataset.models()
    top.load_weights(top_weights)
    head = heads.build_head(top.output.shape[-1], len(dataset.class_names), **head_shape)
    head.load_weights(head_weights)
    return frozen, top, head


def write_bundle(folder: Path, dataset, models, export: ExportParams, training: dict) -> None:
    """Write model.onnx, unknown.npz and model.json, with the temperature and the "unknown" threshold fitted on val.

    Args:
        folder: for the bundle.
        dataset: see `pipeline.training.examples.open_dataset`.
        models: see `load_models`.
        export: the stage's parameters.
        training: facts about the training for model.json.
    """
    from graft.model import bundle, unknown
    from pipeline.evaluation.calibration import fit_temperature
    from pipeline.training import examples, fitting, heads, onnx_file

    frozen, top, head = models
    train, val = (examples.vectors(top, dataset.splits[name]) for name in ("train", "val"))
    views = train.features.shape[1]
    train_features = train.features.reshape(-1, train.features.shape[-1])
    reference = unknown.fit(train_features, train.labels.repeat(views), len(dataset.class_names))
    onnx_file.write_onnx(heads.whole_model(frozen, top, head), folder / bundle.MODEL)
    unknown.save(folder / bundle.UNKNOWN, reference)
    part = asdict(dataset.part)
    bundle.write_description(folder, bundle.Description(
        class_names=dataset.class_names,
        image_size=list(dataset.part.image_size),
        backbone={key: part[key] for key in ("name", "alpha", "weights", "weights_sha256", "licence", "cut")},
        temperature=fit_temperature(fitting.predict(head, val), val.labels),
        unknown_threshold=unknown.threshold(unknown.score(val.features[:, 0], reference), export.unknown_acceptance),
        training=training,
    ))


def write_formats(folder: Path, dataset, models, images: Path, names: list[str]) -> None:
    """Write further formats of the model.

    Args:
        folder: the bundle.
        dataset: see `pipeline.training.examples.open_dataset`.
        models: see `load_models`.
        images: the folder of the images, some of which calibrate an int8 model.
        names: the formats.

    Raises:
        GraftError: if a format's library is not installed.
    """
    from pipeline.training import formats, heads

    chosen = sample_each_class(dataset.splits["train"], CALIBRATION_IMAGES)
    calibration = partial(read_images, [images / path for path in chosen], dataset.part.image_size)
    for format in sorted(set(names)):
        try:
            formats.write(format, heads.whole_model(*models), folder, calibration)
        except ImportError as error:
            extra = format.partition("_")[0]
            raise GraftError(f"params.yaml: export.formats: {format} needs '{error.name}': "
                             f"pip install 'graft[{extra}]', or remove the format.") from error


def sample_each_class(examples, count: int) -> list[str]:
    """The sorted paths of about `count` images, spread evenly over the classes, at least one from each.

    Within a class, images are taken in the order of their SHA-256: at random, but the same for the same images.
    """
    import pandas as pd

    table = pd.DataFrame({"path": examples.paths, "label": examples.labels, "sha256": examples.sha256s})
    table["rank"] = table.sort_values("sha256").groupby("label").cumcount()
    return sorted(table.sort_values(["rank", "label"])["path"].head(max(count, table["label"].nunique())))


def read_images(paths: list[Path], image_size: tuple[int, int]):
    """Read images as uint8 RGB `(images, height, width, 3)`; `image_size` is (height, width)."""
    import numpy as np

    from graft.images import read_image

    return np.stack([read_image(path, image_size) for path in paths])


def check_formats(folder: Path, models, images: list[Path], export: ExportParams) -> dict[str, dict]:
    """Measure how closely each format agrees with Keras.

    Args:
        folder: the bundle.
        models: see `load_models`.
        images: paths of val images.
        export: the stage's parameters.

    Returns:
        format -> see `compare`.

    Raises:
        GraftError: if a probability differs by more than params.yaml allows; for int8, if too many answers differ.
    """
    expected = keras_answers(folder, models, images)
    agreements = {format: compare(expected, published_answers(folder, images, format))
                  for format in ("onnx", *sorted(set(export.formats)))}
    problems = []
    for format, found in agreements.items():
        if format == "litert_int8":
            problems += [f"{format} gives Keras's {what} for {found[key]:.1%} of {len(images)} val images, less than "
                         f"params.yaml: export.int8_agreement ({export.int8_agreement:.1%})"
                         for key, what in AGREEMENTS.items() if found[key] < export.int8_agreement]
        elif not found["largest_difference"] <= export.parity_tolerance:
            problems.append(f"{format} differs from Keras by {found['largest_difference']:.1e} in probability, more "
                            f"than params.yaml: export.parity_tolerance ({export.parity_tolerance:g})")
    if problems:
        raise GraftError("the exported model is rejected: " + "; ".join(problems) + ".")
    return agreements


def compare(expected: tuple, published: tuple) -> dict:
    """Measure how closely two models agree.

    Args:
        expected: probabilities, float `(images, classes)`, and whether each image is unknown, bool `(images,)`.
        published: likewise.

    Returns:
        `images`, their number; `largest_difference` between two probabilities, to one significant digit; `same_label`
        and `same_unknown`, the shares of images, 0 to 1, with the same label and the same answer to "unknown?".
    """
    (probabilities, is_unknown), (others, is_unknown_there) = expected, published
    same_label = probabilities.argmax(axis=1) == others.argmax(axis=1)
    return {"images": len(others), "largest_difference": float(f"{abs(probabilities - others).max():.0e}"),
            "same_label": round(float(same_label.mean()), 4),
            "same_unknown": round(float((is_unknown == is_unknown_there).mean()), 4)}


def keras_answers(folder: Path, models, images: list[Path]) -> tuple:
    """Predict with Keras in float32 in this process, with the bundle's temperature and threshold; see `compare`."""
    import numpy as np

    from graft.model.classifier import BATCH_SIZE, Classifier
    from pipeline.training import heads

    classifier, model = Classifier(folder), heads.whole_model(*models)
    batches = [images[start:start + BATCH_SIZE] for start in range(0, len(images), BATCH_SIZE)]
    outputs = [model.predict_on_batch(read_images(batch, classifier.image_size)) for batch in batches]
    logits, features = (np.concatenate([np.asarray(each[name]) for each in outputs]) for name in ("logits", "features"))
    limit = classifier.description.unknown_threshold
    return classifier.probabilities(logits), classifier.unknown_scores(features) > (np.inf if limit is None else limit)


def published_answers(folder: Path, images: list[Path], format: str) -> tuple:
    """Predict with `graft predict` in its own process; see `compare`. Raises `GraftError` if it fails."""
    import numpy as np

    from graft.model.bundle import read_description

    command = [sys.executable, "-m", "graft.cli", "predict", "--model", folder, "--format", format, "--json",
               "--top", "all", *images]
    answer = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if answer.returncode:
        raise GraftError(f"the exported model cannot predict as {format}:\n{answer.stderr}")
    rows = [json.loads(line) for line in answer.stdout.splitlines()]
    class_names = read_description(folder).class_names
    return (np.array([[row["probabilities"][name] for name in class_names] for row in rows]),
            np.array([row["is_unknown"] for row in rows]))


def main() -> None:
    """Run the stage. The new bundle replaces the old one once all its formats have passed."""
    export, data = read_params("export", ExportParams), read_params("data", DataParams)
    from graft.model import bundle
    from pipeline.training import backend, examples
    from tasks import artifacts

    backend.make_deterministic(0)
    dataset = examples.open_dataset(**artifacts.read_extracted(), images=Path(data.images))
    dataset.fill()
    summary = artifacts.read_json(artifacts.FINETUNE_SUMMARY)
    models = load_models(dataset, artifacts.read_json(artifacts.HEAD), artifacts.FINETUNE_TOP, artifacts.FINETUNE_HEAD)
    draft = artifacts.BUNDLE.with_name(".export")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    write_bundle(draft, dataset, models, export, {"kept": summary["kept"], "val_loss": summary["val_loss"]})
    write_formats(draft, dataset, models, Path(data.images), export.formats)
    images = [Path(data.images, path) for path in sample_each_class(dataset.splits["val"], PARITY_IMAGES)]
    agreements = check_formats(draft, models, images, export)
    bundle.write_description(draft, replace(bundle.read_description(draft), formats=agreements))
    shutil.rmtree(artifacts.BUNDLE, ignore_errors=True)
    draft.rename(artifacts.BUNDLE)
    for format, found in agreements.items():
        print(f"{format}: agrees with Keras within {found['largest_difference']:.0e} in probability, the same label on "
              f"{found['same_label']:.1%} of {found['images']} val images")


if __name__ == "__main__":
    with reported():
        main()
