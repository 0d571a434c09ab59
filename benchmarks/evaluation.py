"""How well the evaluation keeps its promises: `python -m benchmarks.evaluation [coverage] [gate] [unknown]`.

    coverage    how often each 95 % interval contains the true value, over 1,000 test sets of known populations
    gate        verdicts on 1,000 pairs of models, equally good or up to 3 points apart
    unknown     run in a project's folder whose stages have run on cats_dogs: the share of clothing/ that its model
                refuses, beside other scores

Photographs: see `benchmarks.inputs`.
"""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.command import run_parts
from benchmarks.inputs import CATS_DOGS, CLOTHING
from benchmarks.scratch import ROOT
from graft.decoding.kinds import SUFFIXES
from graft.errors import reported
from graft.model import unknown
from graft.model.classifier import Classifier
from pipeline.evaluation import calibration, metrics
from pipeline.evaluation.decision import Champion, Rules, decide
from tasks.params import read_sections

sys.path.insert(0, str(ROOT / "tests"))     # its populations

DRAWS = 1000
POPULATIONS = (     # images of a test set, classes, separation of the classes, overconfidence
    (200, 2, 2.0, 1.0), (200, 2, 2.9, 1.5), (1000, 2, 2.9, 1.0), (300, 5, 2.2, 2.0), (1000, 5, 2.5, 1.0),
    (240, 24, 3.0, 1.0),
)
MODELS = (          # images, accuracy of the champion, accuracy of the new model
    (2000, 0.95, 0.95), (2000, 0.85, 0.85), (300, 0.9, 0.9), (2000, 0.95, 0.98), (2000, 0.9, 0.93),
    (2000, 0.85, 0.88), (2000, 0.8, 0.83), (2000, 0.93, 0.9),
)


def main() -> None:
    run_parts(__doc__, coverage=coverage, gate=gate, unknown=compare_scores)


def coverage() -> None:
    """The share of draws whose interval contains the value of 100,000 images."""
    for images, classes, signal, sharpness in POPULATIONS:
        rng = np.random.default_rng(1)
        true, true_classes = _measure(rng, 100_000, classes, signal, sharpness)
        held = Counter()
        for _ in range(DRAWS):
            overall, table = _measure(rng, images, classes, signal, sharpness)
            held.update(name for name, each in overall.items() if each["low"] <= true[name]["value"] <= each["high"])
            first = table.iloc[0]
            held.update(f"{name} of a class" for name in ("precision", "recall", "f1", "roc_auc", "average_precision")
                        if first[f"{name}_low"] <= true_classes[name][0] <= first[f"{name}_high"])
        print(f"{images} images, {classes} classes, {true['accuracy']['value']:.1%} right, "
              f"{'overconfident' if sharpness > 1 else 'perfectly calibrated'}:")
        for name in sorted(held.keys() - {"unknown_share"}):
            print(f"  {name:32} {held[name] / DRAWS:.1%}", flush=True)


def _measure(rng, *population):
    from populations import answers, draw

    return metrics.measure(answers(*draw(rng, *population)), 1.0, 0.95, 400, 1)


def gate() -> None:
    """Verdicts on models whose mistakes are independent, and on models that share half of them."""
    rules = Rules(**read_sections()["gate"] | {"min_accuracy": 0.0, "min_class_recall": 0.0})
    names = np.array([f"class {number}" for number in range(5)])
    for images, champion, candidate in MODELS:
        for shared in (0.0, (1 - max(champion, candidate)) / 2):
            verdicts = Counter()
            for seed in range(DRAWS):
                rng = np.random.default_rng([seed, images, round(1000 * candidate)])
                labels, hard = rng.integers(0, 5, images), rng.random(images) < shared
                wrong = [hard | (rng.random(images) > share / (1 - shared)) for share in (candidate, champion)]
                new, old = (names[np.where(each, (labels + 1) % 5, labels)] for each in wrong)
                none = np.zeros(images, dtype=bool)
                verdicts[decide(rules, list(names), names[labels], new, Champion(list(names), old, none)).verdict] += 1
            shares = ", ".join(f"{verdict} {count / DRAWS:.1%}" for verdict, count in sorted(verdicts.items()))
            print(f"{images} images, champion {champion:.0%}, new model {candidate:.0%}, both wrong on {shared:.1%}: "
                  f"{shares}")


def compare_scores() -> None:
    """With 95 % of val accepted: the share of the clothes that is refused, and of the test images that is accepted."""
    if not Path("outputs/export").is_dir():
        print("unknown: skipped, because this folder has no outputs/export. Set data.images to cats_dogs, run "
              "`dvc repro export`, and run this part in that project's folder.")
        return
    classifier, splits = Classifier("outputs/export"), pd.read_csv("outputs/split/splits.csv")
    known = {name: _run(classifier, CATS_DOGS, rows) for name, rows in splits.groupby("split")}
    strange = _run(classifier, CLOTHING, _photographs(CLOTHING))
    labels = splits.loc[splits["split"] == "train", "label"].map(classifier.class_names.index).to_numpy()
    print(f"calibration error on test: {_calibration_error(classifier, *known['test'], splits)}")
    for name, score in {"published": lambda logits, features: classifier.unknown_scores(features),
                        **_other_scores(known["train"][1], labels)}.items():
        limit = unknown.threshold(score(*known["val"]), 0.95)
        refused, accepted = (score(*strange) > limit).mean(), (score(*known["test"]) <= limit).mean()
        print(f"{name:45} refuses {refused:6.1%} of the clothing, accepts {accepted:6.1%} of the test images")


def _other_scores(train: np.ndarray, labels: np.ndarray) -> dict:
    """Well-known out-of-distribution scores of logits and features; higher means less like the training images."""
    def to_length_1(features):
        return features / np.linalg.norm(features, axis=1, keepdims=True)

    def log_sum(logits):
        return np.log(np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)) + logits.max(axis=1)

    reference = unknown.fit(train, labels, labels.max() + 1)
    means = np.stack([train[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    _, singular, rows = np.linalg.svd(train - means[labels], full_matrices=False)
    whiten = rows[:64].T / (singular[:64] / np.sqrt(len(train)))
    return {
        "the published score, fitted on plain images": lambda logits, features: unknown.score(features, reference),
        "10th nearest neighbour (Sun et al. 2022)": lambda logits, features: np.sort(
            -to_length_1(features) @ to_length_1(train).T, axis=1)[:, 9],
        "Mahalanobis, 64 directions (Lee et al. 2018)": lambda logits, features: np.min(
            [(((features - mean) @ whiten) ** 2).sum(axis=1) for mean in means], axis=0),
        "largest probability (Hendrycks & Gimpel 2017)": lambda logits, features: log_sum(logits) - logits.max(axis=1),
        "energy (Liu et al. 2020)": lambda logits, features: -log_sum(logits),
    }


def _calibration_error(classifier: Classifier, logits: np.ndarray, features: np.ndarray, splits: pd.DataFrame) -> str:
    labels = splits.loc[splits["split"] == "test", "label"].map(classifier.class_names.index).to_numpy()
    is_right, after = logits.argmax(axis=1) == labels, classifier.probabilities(logits)
    before = calibration.uncalibrated(after, classifier.description.temperature)
    errors = [calibration.calibration_error(each.max(axis=1), is_right) for each in (before, after)]
    losses = [calibration.losses(each, labels).mean() for each in (before, after)]
    return (f"{errors[0]:.2%} before, {errors[1]:.2%} after; log loss {losses[0]:.4f} before, {losses[1]:.4f} after; "
            f"{is_right.mean():.1%} of {len(labels)} right")


def _photographs(folder: Path) -> pd.DataFrame:
    paths = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in SUFFIXES)
    return pd.DataFrame({"path": [path.relative_to(folder).as_posix() for path in paths],
                         "label": [path.parent.name for path in paths]})


def _run(classifier: Classifier, folder: Path, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Logits and features of the rows' images."""
    found = [classifier.run(classifier.read(folder / path)[None]) for path in rows["path"]]
    logits, features = (np.concatenate(each) for each in zip(*found))
    return logits.astype(float), features.astype(float)


if __name__ == "__main__":
    with reported():
        main()
