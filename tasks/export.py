"""Stage `export`: write the model as a bundle, calibrated on held-out answers, and compare it with Keras.

Each format is checked in its own process, which loads nothing but the bundle, as users do. If one disagrees, the stage
fails and the previous bundle stays.
"""

import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from graft.errors import reported
from tasks.data import DataParams
from tasks.features import read_features
from tasks.formats import check_formats, keep_accurate, write_formats
from tasks.params import params, read_params

PARITY_IMAGES = 64              # from val; at least one per class


@params
class ExportParams:
    """Which formats are written, and how closely each must agree with Keras."""

    unknown_acceptance: float = Field(ge=0.5, le=1)
    wanted_precision: float = Field(ge=0, le=0.9999)
    parity_tolerance: float = Field(gt=0, le=0.1)
    formats: list[Literal["onnx_int8", "litert", "litert_int8", "openvino"]]
    int8_agreement: float = Field(ge=0, le=1)


def load_model(dataset, kept: str):
    """Build the model that is published, in float32.

    Args:
        dataset: see `pipeline.training.examples.open_dataset`.
        kept: the stage whose model it is, "transfer" or "finetune".

    Returns:
        From uint8 images to `logits` and `features`, see `pipeline.training.heads.whole_model`.
    """
    from pipeline.training import heads
    from tasks import artifacts

    shape, classes = artifacts.read_json(artifacts.HEAD), len(dataset.class_names)
    levels = shape.pop("levels")
    weights = artifacts.read_arrays(artifacts.TRANSFER_HEAD if kept == "transfer" else artifacts.FINETUNE_MODEL)
    if kept == "transfer" and levels:
        head = heads.build_head(len(weights[0]), classes, **shape)
        head.set_weights(weights)
        return heads.probe(dataset.part.network(dataset.weights), levels, head)
    frozen, top = dataset.models()
    head = heads.build_head(top.output.shape[-1], classes, **shape)
    if kept == "finetune":
        top.set_weights(weights[: len(top.weights)])
    head.set_weights(weights[-len(head.get_weights()) :])
    return heads.whole_model(frozen, top, head)


def fit_unknown(dataset, images: Path, kept: str) -> tuple:
    """Fit the reference for unknown images to train and val.

    Args:
        dataset: see `pipeline.training.examples.open_dataset`.
        images: the folder of the images.
        kept: see `load_model`.

    Returns:
        The `graft.model.unknown.Reference`, and the scores of images that a reference had not seen, float `(images,)`.
    """
    import numpy as np

    from graft.model import unknown
    from pipeline.training import examples, folding
    from tasks import artifacts, held_out

    classes = len(dataset.class_names)
    if kept == "finetune":
        _, top = dataset.models(dataset.part.precision)
        top.set_weights(artifacts.read_arrays(artifacts.FINETUNE_MODEL)[: len(top.weights)])
        everything = examples.joined(dataset.splits["train"], dataset.splits["val"])
        reference = unknown.fit(*examples.vectors(folding.fold_batch_normalization(top), everything).rows(), classes)
        return reference, artifacts.read_held_out(artifacts.FINETUNE_HELD_OUT)[0]["unknown_score"].to_numpy()

    def fitted(chosen):
        there, own = np.unique(labels[chosen], return_inverse=True)     # a fold may have all images of a class
        return unknown.fit(features[chosen], own, len(there))

    table, index, levels = read_features(images)
    features, (labels, _) = levels[:, 0][:, index.columns(index.names[-1:])], artifacts.read_labels(table)
    answered = held_out.of_kept(kept)[0].set_index("path")["fold"]
    folds = answered.reindex(table["path"], fill_value=-1).to_numpy()
    references = {fold: fitted(folds != fold) for fold in answered.unique()}
    scores = [unknown.score(features[folds == fold], reference) for fold, reference in references.items()]
    return unknown.fit(features, labels, classes), np.concatenate(scores)


def operating_point(logits, labels, temperature: float, wanted_precision: float) -> float | None:
    """The probability up to which an answer is unsure; None if no precision is wanted.

    Args:
        logits: float `(images, classes)`, of images that were not learnt from.
        labels: int `(images,)`, the true classes.
    """
    from pipeline.evaluation import calibration, operating_point

    if not wanted_precision:
        return None
    probabilities = calibration.softmax(logits / temperature)
    is_right, confidences = probabilities.argmax(axis=1) == labels, probabilities.max(axis=1)
    found = operating_point.find(confidences, is_right, wanted_precision)
    print(f"{(confidences > found).mean():.1%} of {len(labels)} held-out answers are surer than {found:.1%}: "
          f"these reach params.yaml: export.wanted_precision ({wanted_precision:g})" if found < 1 else
          f"{len(labels)} held-out answers prove params.yaml: export.wanted_precision ({wanted_precision:g}) for no "
          "probability: every answer will be unsure. Wish for less, or add images")
    return found


def write_bundle(folder: Path, dataset, model, images: Path, export: ExportParams, summary: dict) -> None:
    """Write model.onnx, unknown.npz and model.json.

    The temperature and the "unknown" threshold are fitted to answers to images that were not trained on for them.

    Args:
        folder: for the bundle.
        dataset: see `pipeline.training.examples.open_dataset`.
        model: see `load_model`.
        images: the folder of the images.
        export: the stage's parameters.
        summary: of finetune.
    """
    from graft.model import bundle, unknown
    from pipeline.evaluation.calibration import fit_temperature
    from pipeline.losses import log_losses
    from pipeline.training import onnx_file
    from tasks import artifacts, held_out

    kept, part = summary["kept"], asdict(dataset.part)
    answered, logits = held_out.of_kept(kept)
    labels, _ = artifacts.read_labels(answered)
    reference, scores = fit_unknown(dataset, images, kept)
    temperature = fit_temperature(logits, labels)
    onnx_file.write_onnx(model, folder / bundle.MODEL)
    unknown.save(folder / bundle.UNKNOWN, reference)
    bundle.write_description(folder, bundle.Description(
        class_names=dataset.class_names,
        image_size=list(dataset.part.image_size),
        backbone={key: part[key] for key in ("name", "alpha", "weights", "weights_sha256", "licence", "cut")},
        temperature=temperature,
        unknown_threshold=unknown.threshold(scores, export.unknown_acceptance),
        unsure_up_to=operating_point(logits, labels, temperature, export.wanted_precision),
        training={"kept": kept, "held_out_images": len(labels), "log_loss": float(log_losses(logits, labels).mean())},
    ))


def is_without_tensorflow(engine: str, kept: str, formats: list[str]) -> bool:
    """Whether nothing that the stage writes was trained by TensorFlow or is made by it.

    Args:
        engine: of `extract`.
        kept: see `load_model`.
        formats: those beside ONNX.
    """
    return engine == "openvino" and kept == "transfer" and not any(name.startswith("litert") for name in formats)


def main() -> None:
    """Run the stage. The new bundle replaces the old one once all its formats have passed."""
    export, data = read_params("export", ExportParams), read_params("data", DataParams)
    from graft.model import bundle
    from pipeline import hardware
    from tasks import artifacts

    summary, is_mirrored = (artifacts.read_json(artifacts.FINETUNE_SUMMARY),
                            artifacts.read_json(artifacts.TRANSFER_SUMMARY)["is_mirrored"])
    extracted = artifacts.read_extracted(is_mirrored, artifacts.read_json(artifacts.CHOICE)["cut"])
    if is_without_tensorflow(extracted["part"]["engine"], summary["kept"], export.formats):
        hardware.build_without_tensorflow(extracted["part"]["name"])
    from pipeline.training import backend, examples, parity

    backend.use_deterministic_operations()
    dataset = examples.open_dataset(**extracted, images=data.folder)
    model = load_model(dataset, summary["kept"])
    draft = artifacts.BUNDLE.with_name(".export")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    write_bundle(draft, dataset, model, data.folder, export, summary)
    write_formats(draft, dataset, model, data.folder, export.formats)
    kept = replace(export, formats=keep_accurate(draft, dataset.splits["val"], data.folder, export.formats))
    images = [data.folder / path for path in parity.sample_each_class(dataset.splits["val"], PARITY_IMAGES)]
    agreements = check_formats(draft, model, images, kept)
    bundle.write_description(draft, replace(bundle.read_description(draft), formats=agreements))
    shutil.rmtree(artifacts.BUNDLE, ignore_errors=True)
    draft.rename(artifacts.BUNDLE)
    for format, found in agreements.items():
        print(f"{format}: agrees with Keras within {found['largest_difference']:.0e} in probability, the same label on "
              f"{found['same_label']:.1%} of {found['images']} val images")


if __name__ == "__main__":
    with reported():
        main()
