"""What `benchmarks.choose` compares with, computed in a project after `evaluate`. Each function answers plain data.

    python -m benchmarks.choose_sides baselines|grid|forecasts
"""

import json
import sys
from pathlib import Path

import numpy as np

from graft.errors import reported

STRENGTHS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)      # scikit-learn's C
GRID_SHARES = (0.15, 0.35, 0.55, 0.75, 1.0)     # of the arithmetic above the cut: five cuts, the last one trains all
GRID_RATES = (1e-4, 3e-4, 1e-3)
STEP_PASSES = 3                                 # a training step costs as much as three forward passes
HALVES = 6                                      # random halves of the images whose forecast is checked


def _levels():
    """The levels of all images, float32 `(images, 2, units)`, their index, and their rows of splits.csv."""
    from pipeline.probing.levels import Index, views_of
    from pipeline.training import examples
    from tasks import artifacts
    from tasks.data import DataParams
    from tasks.params import read_params

    table = artifacts.read_table(artifacts.SPLITS, artifacts.SPLIT_COLUMNS)
    dataset = examples.open_dataset(**artifacts.read_extracted(), images=Path(read_params("data", DataParams).images))
    rows = examples.read_levels(dataset, views_of(table["path"].tolist(), table["sha256"].tolist()))
    return rows, Index(**artifacts.read_json(artifacts.LEVELS)), table


def baselines() -> dict[str, list[bool]]:
    """Which test images each baseline answers right, in the order of predictions.csv."""
    levels, index, table = _levels()
    split, labels = table["split"].to_numpy(), table["label"].to_numpy()
    columns = {"last": index.columns(index.names[-1:]), "all": index.columns(index.names)}
    return {name: _baseline(levels[:, :, chosen], labels, split).tolist() for name, chosen in columns.items()}


def _baseline(levels: np.ndarray, labels: np.ndarray, split: np.ndarray) -> np.ndarray:
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


def grid() -> dict:
    """Every setting of the grid, trained on train and val as `finetune` does: its test accuracy.

    Returns:
        `accuracies`, setting -> 0 to 1, with the head alone on the last level and on all; and the `passes` that
        training each once takes.
    """
    from pipeline.training import arithmetic, backbones, blocks
    from tasks import artifacts
    from tasks.data import DataParams
    from tasks.params import read_params
    from tasks.tuning import FinetuneParams, Setting, Tuner

    tuner = Tuner(read_params("finetune", FinetuneParams), Path(read_params("data", DataParams).images))
    dataset = tuner.dataset(artifacts.read_json(artifacts.BACKBONE)["cut"])
    network = dataset.part.network(dataset.weights)
    shares = {end: arithmetic.share_above(network, end) for end in blocks.block_ends(network)[:-1]}
    shares[backbones.IMAGES] = 1.0
    cuts = dict.fromkeys(min(shares, key=lambda end: abs(shares[end] - wanted)) for wanted in GRID_SHARES)
    found, passes = _head_accuracies(), 0.0
    for cut in cuts:
        passes += (1 - shares[cut]) * dataset.splits["train"].views
        for rate in GRID_RATES:
            found[f"{cut} {rate:g}"] = _trained(tuner, Setting(cut, rate))
            passes += tuner.finetune.epochs * STEP_PASSES * shares[cut]
    return {"accuracies": found, "passes": passes}


def _trained(tuner, setting) -> float:
    from pipeline.training import scoring

    models, test = tuner.fit_on_all(setting), tuner.dataset(setting.cut).splits["test"]
    return float((scoring.predict(models[0], test).argmax(axis=1) == test.labels).mean())


def _head_accuracies() -> dict[str, float]:
    from pipeline.probing import selection
    from tasks.features import to_features

    levels, index, table = _levels()
    learnt, test = (table["split"] != "test").to_numpy(), (table["split"] == "test").to_numpy()
    features = to_features(table[learnt].reset_index(drop=True), levels[learnt])
    labels, found = table["label"].astype("category").cat.codes.to_numpy(), {}
    for name, names in (("head, last level", index.names[-1:]), ("head, all levels", index.names)):
        columns = index.columns(names)
        best = selection.compare(features, names, columns)
        head = selection.fit_head(features.units(columns), best.penalty, best.is_mirrored)
        found[name] = float((head.logits(levels[test, 0][:, columns]).argmax(axis=1) == labels[test]).mean())
    return found


def forecasts() -> list[bool]:
    """For random halves of the images: does the forecast for twice as many hold the accuracy with all of them?"""
    from pipeline.probing.curve import forecast, learning_curve
    from tasks import artifacts
    from tasks.features import read_features, to_features

    table, index, levels = read_features(Path())
    columns = index.columns(artifacts.read_json(artifacts.HEAD)["levels"])
    summary = artifacts.read_json(artifacts.TRANSFER_SUMMARY)
    features, held = to_features(table, levels).units(columns), []
    truth = learning_curve(features, summary["penalty"], summary["is_mirrored"]).right[2].mean()
    for seed in range(HALVES):
        half = features.images(np.random.default_rng(seed).permutation(len(table)) < len(table) // 2)
        found = forecast(learning_curve(half, summary["penalty"], summary["is_mirrored"]).right)
        held.append(bool(found.low <= truth <= found.high))
    return held


if __name__ == "__main__":
    with reported():
        print(json.dumps({"baselines": baselines, "grid": grid, "forecasts": forecasts}[sys.argv[1]]()))
