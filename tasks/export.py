"""Stage `export`: finetune's model as a bundle that anyone can use, calibrated on val and checked against Keras."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from pydantic import Field

from graft.errors import GraftError, reported
from tasks.params import DataParams, params, read_params

PARITY_IMAGES = 64


@params
class ExportParams:
    unknown_acceptance: float = Field(ge=0.5, le=1)
    parity_tolerance: float = Field(gt=0, le=0.1)


def load_models(dataset, summary: dict, top_weights: Path, head_weights: Path):
    """finetune's model in float32: the frozen part, the top and the head."""
    from graft.training import heads

    frozen, top = dataset.models()
    top.load_weights(top_weights)
    head = heads.build_head(top.output.shape[-1], len(dataset.class_names), **summary["head"])
    head.load_weights(head_weights)
    return frozen, top, head


def write_bundle(folder: Path, dataset, models, export: ExportParams, training: dict) -> None:
    """Write model.onnx, and what is fitted on val: the temperature and the threshold of "unknown"."""
    from graft import bundle, unknown
    from graft.evaluation.calibration import fit_temperature
    from graft.training import examples, fitting, heads, onnx_file

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
        backbone={key: part[key] for key in ("name", "alpha", "weights", "weights_sha256", "cut")},
        temperature=fit_temperature(fitting.predict(head, val), val.labels),
        unknown_threshold=unknown.threshold(unknown.score(val.features[:, 0], reference), export.unknown_acceptance),
        training=training,
    ))


def check_parity(folder: Path, models, images: list[Path], tolerance: float) -> float:
    """Compare Keras in this process with the bundle in one of its own, which loads the bundle alone, as users do.

    Returns the largest difference of a probability. Raises `GraftError` when it exceeds the tolerance.
    """
    import numpy as np

    from graft.classifier import Classifier
    from graft.training import heads

    command = [sys.executable, "-m", "graft", "predict", "--model", folder, "--json", "--top", "all", *images]
    answer = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if answer.returncode:
        raise GraftError(f"the exported model does not predict:\n{answer.stderr}")
    classifier = Classifier(folder)
    rows = [json.loads(line)["probabilities"] for line in answer.stdout.splitlines()]
    published = np.array([[row[name] for name in classifier.class_names] for row in rows])
    keras_model = heads.whole_model(*models)
    batch = np.stack([classifier.read(path) for path in images])
    expected = classifier.probabilities(np.asarray(keras_model.predict_on_batch(batch)["logits"]))
    difference = float(abs(published - expected).max())
    if difference > tolerance:
        raise GraftError(f"the exported model differs from Keras's by {difference:.1e} in probability, more than "
                         f"params.yaml: export.parity_tolerance ({tolerance:g}). It is not kept.")
    return difference


def main() -> None:
    export, data = read_params("export", ExportParams), read_params("data", DataParams)
    from graft.training import examples, runtime
    from tasks import artifacts

    runtime.make_deterministic(0)
    dataset = examples.open_dataset(**artifacts.read_extracted(), images=Path(data.images))
    dataset.fill()
    summary = artifacts.read_json(artifacts.FINETUNE_SUMMARY)
    models = load_models(dataset, summary, artifacts.FINETUNE_TOP, artifacts.FINETUNE_HEAD)
    draft = artifacts.BUNDLE.with_name(".export")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    write_bundle(draft, dataset, models, export, {"kept": summary["kept"], "val_loss": summary["val_loss"]})
    images = [Path(data.images, path) for path in dataset.splits["val"].paths[:PARITY_IMAGES]]
    difference = check_parity(draft, models, images, export.parity_tolerance)
    shutil.rmtree(artifacts.BUNDLE, ignore_errors=True)
    draft.rename(artifacts.BUNDLE)
    print(f"bundle: agrees with Keras within {difference:.1e} in probability on {len(images)} val images")


if __name__ == "__main__":
    with reported():
        main()
