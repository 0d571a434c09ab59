"""Measure how closely a published model agrees with Keras's."""

import json
import math
import subprocess
import sys
from decimal import ROUND_UP, Context
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from graft.errors import GraftError
from graft.images import read_image
from graft.machine.threads import InThreads
from graft.model.bundle import read_description
from graft.model.classifier import BATCH_SIZE, Classifier
from pipeline.image_folder import on_this_machine, readers_of
from pipeline.training import backend


def sample_each_class(examples, count: int) -> list[str]:
    """The sorted paths of about `count` images, spread evenly over the classes, at least one from each.

    Within a class, images are taken in the order of their SHA-256: at random, but the same for the same images.
    """
    table = pd.DataFrame({"path": examples.paths, "label": examples.labels, "sha256": examples.sha256s})
    table["rank"] = table.sort_values("sha256").groupby("label").cumcount()
    return sorted(table.sort_values(["rank", "label"])["path"].head(max(count, table["label"].nunique())))


def read_images(paths: list[Path], image_size: tuple[int, int]):
    """Read images as uint8 RGB `(images, height, width, 3)`; `image_size` is (height, width)."""
    with InThreads(partial(read_image, image_size=image_size), paths, readers_of(paths[0]), ahead=len(paths)) as images:
        return np.stack(list(images))


def compare(expected: tuple, published: tuple) -> dict:
    """Measure how closely two models agree.

    Args:
        expected: probabilities, float `(images, classes)`, and whether each image is unknown, bool `(images,)`.
        published: likewise.

    Returns:
        `images`, their number; `largest_difference` between two probabilities, rounded up to one significant digit;
        `same_label` and `same_unknown`, the shares of images, 0 to 1, with the same label and the same answer to
        "unknown?".
    """
    (probabilities, is_unknown), (others, is_unknown_there) = expected, published
    same_label = probabilities.argmax(axis=1) == others.argmax(axis=1)
    return {"images": len(others), "largest_difference": _rounded_up(abs(probabilities - others).max()),
            "same_label": round(float(same_label.mean()), 4),
            "same_unknown": round(float((is_unknown == is_unknown_there).mean()), 4)}


def _rounded_up(difference: np.floating) -> float:
    return float(Context(prec=1, rounding=ROUND_UP).create_decimal(float(difference)))


def keras_answers(folder: Path, model: keras.Model, images: list[Path]) -> tuple:
    """Predict with Keras in float32 in this process, with the bundle's temperature and threshold; see `compare`."""
    classifier = Classifier(folder)
    count = math.ceil(len(images) / BATCH_SIZE)
    batch_size = math.ceil(len(images) / count)         # even: the network is traced again for a batch of another size
    batches = [images[start:start + batch_size] for start in range(0, len(images), batch_size)]
    predict = backend.in_float32(model)
    outputs = [predict(read_images(batch, classifier.image_size)) for batch in batches]
    logits, features = (np.concatenate([np.asarray(each[name]) for each in outputs]) for name in ("logits", "features"))
    limit = classifier.description.unknown_threshold
    return classifier.probabilities(logits), classifier.unknown_scores(features) > (np.inf if limit is None else limit)


def published_answers(folder: Path, images: list[Path], format: str) -> tuple:
    """Predict with `graft predict` in its own process; see `compare`. Raises `GraftError` if it fails."""
    command = [sys.executable, "-m", "graft.cli", "predict", "--model", folder, "--format", format, "--json",
               "--top", "all"]
    with on_this_machine(images) as files:
        answer = subprocess.run(list(map(str, [*command, *files])), capture_output=True, text=True)
    if answer.returncode:
        raise GraftError(f"the exported model cannot predict as {format}:\n{answer.stderr}")
    rows = [json.loads(line) for line in answer.stdout.splitlines()]
    class_names = read_description(folder).class_names
    return (np.array([[row["probabilities"][name] for name in class_names] for row in rows]),
            np.array([row["is_unknown"] for row in rows]))
