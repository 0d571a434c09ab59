"""Test accuracy against the better of two simple baselines, on the same splits and the same frozen backbone.

    python -m benchmarks.choose DATA WEIGHTS [--sets clothing satellite …] [--splits 5]

The baselines are scikit-learn's logistic regression on pooled features, standardized, plain and mirrored, with C chosen
on val, then fitted to train and val: one on the last level, one on all levels. Graft runs all its stages with its
defaults. DATA holds a folder for each set, with a folder per class; WEIGHTS holds Keras's ImageNet weights.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from benchmarks import inputs
from benchmarks.command import begin
from benchmarks.markdown import print_head, print_row
from benchmarks.scratch import Project
from graft.errors import reported

SETS = ("ants_bees", "cats_dogs", "clothing", "flowers", "glasses", "rice_leaf", "satellite", "sign_digits")
STRENGTHS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)      # scikit-learn's C


def fit_baselines() -> dict[str, list[bool]]:
    """In a project after `evaluate`: which test images each baseline answers right."""
    from pipeline.probing.levels import Index, views_of
    from pipeline.training import examples
    from tasks import artifacts
    from tasks.params import DataParams, read_params

    table = artifacts.read_table(artifacts.SPLITS, artifacts.SPLIT_COLUMNS)
    dataset = examples.open_dataset(**artifacts.read_extracted(), images=Path(read_params("data", DataParams).images))
    index = Index(**artifacts.read_json(artifacts.LEVELS))
    levels = examples.read_levels(dataset, views_of(table["path"].tolist(), table["sha256"].tolist()))
    split, labels = table["split"].to_numpy(), table["label"].to_numpy()
    columns = {"last": index.columns(index.names[-1:]), "all": index.columns(index.names)}
    return {name: fit_baseline(levels[:, :, chosen], labels, split).tolist() for name, chosen in columns.items()}


def fit_baseline(levels: np.ndarray, labels: np.ndarray, split: np.ndarray) -> np.ndarray:
    """Which test images are answered right; `levels` is float32 `(images, 2, units)`."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def fitted(used: np.ndarray, strength: float):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
        return model.fit(levels[used].reshape(-1, levels.shape[2]), labels[used].repeat(2))

    train, val, test = (split == name for name in ("train", "val", "test"))
    scores = [fitted(train, strength).score(levels[val, 0], labels[val]) for strength in STRENGTHS]
    model = fitted(train | val, STRENGTHS[int(np.argmax(scores))])
    return model.predict(levels[test, 0]) == labels[test]


def run(images: Path, weights: Path, salts: list[str]):
    """Yield, for each split, what the baselines and Graft answer right, what was kept, and the cost of choosing."""
    with TemporaryDirectory() as folder:
        changes = {**inputs.mobilenet(weights), "data.images": str(images), "extract.backbone.cut": "auto",
                   "validate.near_copies": "different", "validate.max_label_conflicts": 1000,
                   "validate.max_copies_share": 1.0}
        project = Project(Path(folder), **changes)
        for salt in salts:
            project.change({"split.salt": salt})
            project.run("dvc", "repro", "evaluate")
            outputs = Path(folder, "outputs")
            answers = pd.read_csv(outputs / "evaluate/predictions.csv", dtype=str, keep_default_na=False)
            baselines = project.run(sys.executable, "-m", "benchmarks.choose", "--inside").stdout.splitlines()[-1]
            right = {**json.loads(baselines), "graft": (answers["label"] == answers["predicted"]).tolist()}
            yield (right, json.loads((outputs / "finetune/summary.json").read_text())["kept"],
                   json.loads((outputs / "choose/choice.json").read_text()))


def main() -> None:
    """Print a row for each split of each set, and the sum of all."""
    if sys.argv[1:] == ["--inside"]:
        print(json.dumps(fit_baselines()))
        return
    options = begin(__doc__, "data", "weights", sets=SETS, splits=5)
    print_head("set", "split", "test images", "last level", "all levels", "Graft", "kept", "quadrant", "passes")
    wrong = {"last": 0, "all": 0, "graft": 0}
    for name in options.sets:
        salts = [f"graft-{number}" for number in range(options.splits)]
        for salt, (right, kept, choice) in zip(salts, run((options.data / name).resolve(), options.weights.resolve(),
                                                          salts)):
            shares = [f"{np.mean(right[side]):.1%}" for side in wrong]
            wrong = {side: wrong[side] + right[side].count(False) for side in wrong}
            print_row(name, salt, len(right["graft"]), *shares, kept, choice["quadrant"], f"{choice['passes']:.0f}")
    print_row("mistakes in all", "", "", *wrong.values(), "", "", "")


if __name__ == "__main__":
    with reported():
        main()
