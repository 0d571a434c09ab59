"""Labelling the best-ranked images against labelling a random choice: `python -m benchmarks.select [--seeds 5]`.

Of each set, 100 labelled images train a head, by whose answers 500 others are ranked as `graft select` and the review
rank them. The labels of the first 50 join the 100, and a new head is scored on the rest of the set; the other side gets
the labels of 50 at random. Both sides use the same pooled features of MobileNetV2 1.0 at 224, computed once, and the
head of `transfer`. Beside the mean difference stands its standard error. Photographs and weights: see
`benchmarks.inputs`.
"""

from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import inputs
from benchmarks.command import begin
from benchmarks.markdown import print_head, print_row
from graft.errors import reported
from graft.images import read_image
from graft.model import unknown
from graft.model.classifier import Prediction
from graft.predict.ranking import rank, uncertainty
from pipeline.evaluation.calibration import fit_temperature, softmax
from pipeline.probing import logistic, selection
from pipeline.probing.folds import assign_folds

SETS = ("cats_dogs", "flowers")
LABELLED, UNLABELLED, CHOSEN = 100, 500, 50
RANDOM = 10             # random choices for each seed, whose mean counts
BATCH, FOLDS, ACCEPTANCE = 50, 5, 0.95


def main() -> None:
    options = begin(__doc__, seeds=5)
    print_head("set", "test images", f"{LABELLED} labelled", f"and {CHOSEN} at random", f"and the {CHOSEN} best-ranked",
               f"and all {UNLABELLED}", "best-ranked beside random")
    for name in SETS:
        features, labels = read_features(inputs.DATA / name)
        errors = np.array([compare(features, labels, seed) for seed in range(options.seeds)])
        none, random, ranked, every = errors.mean(axis=0)
        better = errors[:, 2] - errors[:, 1]
        print_row(name, len(labels) - LABELLED - UNLABELLED, *(f"{each:.2%}" for each in (none, random, ranked, every)),
                  f"{100 * better.mean():+.2f} ± {100 * better.std(ddof=1) / len(better) ** 0.5:.2f} points")


def read_features(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pooled features of a set, float32 `(images, 2, units)`, plain and mirrored; and its labels, int `(images,)`."""
    import keras

    from pipeline.training import backbones

    paths = sorted(path for path in folder.glob("*/*") if path.is_file())
    network = backbones.build("MobileNetV2", (224, 224), 1.0)
    network.load_weights(inputs.mobilenet()["extract.backbone.weights"])
    pooled = keras.Model(network.input, keras.layers.GlobalAveragePooling2D()(network.output))
    rows = []
    for start in range(0, len(paths), BATCH):
        images = np.stack([read_image(path, (224, 224)) for path in paths[start:start + BATCH]])
        rows.append(np.stack([np.asarray(pooled.predict_on_batch(each)) for each in (images, images[:, :, ::-1])], 1))
    return np.concatenate(rows), np.unique([path.parent.name for path in paths], return_inverse=True)[1]


def compare(features: np.ndarray, labels: np.ndarray, seed: int) -> list[float]:
    """The errors on test images without more labels, with 50 at random, with the 50 best-ranked, and with all."""
    rng = np.random.default_rng(seed)
    known, others, test = np.split(rng.permutation(len(labels)), [LABELLED, LABELLED + UNLABELLED])
    error = partial(error_with, features, labels, known, test)
    random = [error(rng.permutation(others)[:CHOSEN]) for _ in range(RANDOM)]
    return [error(others[:0]), float(np.mean(random)), error(others[ranked(features, labels, known, others)]),
            error(others)]


def learn(features: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> tuple[logistic.Head, np.ndarray, np.ndarray]:
    """The head of `transfer` on one level, penalty and mirrored images chosen by cross-validation.

    Returns:
        The head, its logits for the rows by heads that had not learnt from them, and the rows' folds.
    """
    folds = assign_folds(labels[rows], rows.astype(str), FOLDS)
    known = selection.Features(features[rows, 0], features[rows, 1], labels[rows], folds, labels.max() + 1)
    best = selection.compare(known, ["last"], np.arange(features.shape[2]))
    return selection.fit_head(known, best.penalty, best.is_mirrored), best.logits, folds


def error_with(features: np.ndarray, labels: np.ndarray, known: np.ndarray, test: np.ndarray, more: np.ndarray,
               ) -> float:
    """The share of test images that a head gets wrong that has learnt from the known images and from `more`."""
    head = learn(features, labels, np.concatenate([known, more]))[0]
    return float((head.logits(features[test, 0]).argmax(axis=1) != labels[test]).mean())


def ranked(features: np.ndarray, labels: np.ndarray, known: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The places in `others` of the best-ranked images, by a model that has learnt from `known`, as `export` makes it.
    """
    head, held_out, folds = learn(features, labels, known)
    reference, limit = fit_unknown(features[known, 0], labels[known], folds)
    logits = head.logits(features[others, 0]) / fit_temperature(held_out, labels[known])
    scores = unknown.score(features[others, 0], reference)
    answers = [Prediction("", dict(enumerate(sorted(row, reverse=True))), score, bool(score > limit))
               for row, score in zip(softmax(logits), scores)]
    return rank(features[others, 0], map(uncertainty, answers), reference.class_means, CHOSEN)


def fit_unknown(features: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> tuple[unknown.Reference, float]:
    """The reference, and the threshold by scores of images that a reference had not seen."""
    classes = labels.max() + 1
    references = {fold: unknown.fit(features[folds != fold], labels[folds != fold], classes) for fold in set(folds)}
    scores = [unknown.score(features[folds == fold], each) for fold, each in references.items()]
    return unknown.fit(features, labels, classes), unknown.threshold(np.concatenate(scores), ACCEPTANCE)


if __name__ == "__main__":
    with reported():
        main()
