"""A published model with its answers to test images, and windows of answers to others."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from tiny_bundle import COLOURS, IMAGE_SIZE, make_bundle

from graft import registry
from graft.model.classifier import Classifier, Prediction
from graft.store import LocalStore
from graft.watch.windows import Windows
from pipeline.evaluation.predictions import columns
from tasks.artifacts import write_table

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def draw(images: int, seed: int, shares=(1, 1, 1), shift=(0, 0, 0)) -> tuple[np.ndarray, list[str]]:
    """Pictures, uint8 `(images, *IMAGE_SIZE, 3)`, and their classes: colours that wander, and move by `shift`."""
    rng, names = np.random.default_rng(seed), list(COLOURS)
    labels = rng.choice(names, images, p=np.array(shares) / sum(shares))
    means = np.array([COLOURS[name] for name in labels]) + rng.normal(0, 30, (images, 3)) + np.array(shift)
    return np.broadcast_to(means[:, None, None], (images, *IMAGE_SIZE, 3)).clip(0, 255).astype(np.uint8), list(labels)


def publish(folder: Path, where: str, test_images: int = 400) -> Classifier:
    """Publish `colours@1`, with the table that the stage `evaluate` would write."""
    classifier = Classifier(make_bundle(folder / "bundle"))
    pictures, labels = draw(test_images, seed=1)
    answers = classifier.predict_batch(pictures)
    table = pd.DataFrame({
        "path": [f"{number}.png" for number in range(test_images)], "label": labels,
        "predicted": [each.label for each in answers], "unknown_score": [each.unknown_score for each in answers],
        "is_unknown": [each.is_unknown for each in answers], "brightness": [each.brightness for each in answers],
        **{f"p:{name}": [each.probabilities[name] for each in answers] for name in classifier.class_names}})
    write_table(folder / "predictions.csv", table, columns(classifier.class_names))
    registry.publish(folder / "bundle", "colours", where, attachments={"predictions.csv": folder / "predictions.csv"})
    return classifier


def log(place: Path, answers: list[Prediction], classifier: Classifier, ended=NOON, model="colours@1") -> None:
    """Keep answers in windows that end at one time."""
    def fail(what: str, outcome: str, error: Exception | None) -> None:
        assert error is None

    clock = iter([ended - timedelta(minutes=20)] + [ended] * len(answers))
    windows = Windows(LocalStore(place), fail, lambda: next(clock))
    for each in answers:
        windows.add(model, classifier.class_names, each)
    windows.close()
