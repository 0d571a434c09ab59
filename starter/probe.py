"""Quality of a frozen backbone: the accuracy of a linear head on its pooled features."""

from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from graft.images import read_image
from pipeline.training import backbones
from pipeline.training.random_weights import scale_random_weights
from tasks.sample import write_digits

NETWORK = ("MobileNetV2", (96, 96), 0.35)       # name, image size and width of every network compared
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)            # C of the logistic regression: inverse of its weight decay
BATCH_SIZE = 100
SEEDS = range(5)


def read_folder(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read class folders: images, uint8 `(images, height, width, 3)`, and their labels, int `(images,)`."""
    paths = sorted(path for path in folder.glob("*/*") if path.is_file())
    labels = np.unique([path.parent.name for path in paths], return_inverse=True)[1]
    return np.stack([read_image(path, NETWORK[1]) for path in paths]), labels


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """The demo's images, as `read_folder` returns them."""
    with TemporaryDirectory() as folder:
        write_digits(Path(folder) / "digits", size_px=64)
        return read_folder(Path(folder) / "digits")


def scores(weights: Path, images: np.ndarray, labels: np.ndarray) -> list[float]:
    """Accuracy for each of SEEDS with the weights of a file."""
    network = backbones.build(*NETWORK)
    network.load_weights(weights)
    features = pooled_features(network, images)
    return [linear_accuracy(features, labels, seed) for seed in SEEDS]


def random_scores(images: np.ndarray, labels: np.ndarray) -> list[float]:
    """Accuracy for each of SEEDS, each with its own random weights."""
    return [linear_accuracy(pooled_features(untrained(images, seed), images), labels, seed) for seed in SEEDS]


def untrained(images: np.ndarray, seed: int) -> keras.Model:
    """The network with random weights, scaled to the images as `extract.backbone.weights: none` does."""
    keras.utils.set_random_seed(seed)
    network = backbones.build(*NETWORK)
    chosen = np.random.default_rng(seed).choice(len(images), min(256, len(images)), replace=False)
    scale_random_weights(network, images[chosen])
    return network


def pooled_features(network: keras.Model, images: np.ndarray) -> np.ndarray:
    """The mean of the network's last feature map, float32 `(images, channels)`."""
    pooled = keras.Model(network.input, keras.layers.GlobalAveragePooling2D()(network.output))
    starts = range(0, len(images), BATCH_SIZE)
    return np.concatenate([np.asarray(pooled.predict_on_batch(images[i : i + BATCH_SIZE])) for i in starts])


def linear_accuracy(features: np.ndarray, labels: np.ndarray, seed: int) -> float:
    """Fit a logistic regression on one half of the images, C chosen within it; score it on the other half."""
    train, test, train_labels, test_labels = train_test_split(
        features, labels, test_size=0.5, random_state=seed, stratify=labels
    )
    scaler = StandardScaler().fit(train)
    train, test = scaler.transform(train), scaler.transform(test)
    basis = np.linalg.svd(train, full_matrices=False)[2].T      # contains the solution: fewer numbers, the same fit
    train, test = train @ basis, test @ basis
    fit, held_out, fit_labels, held_out_labels = train_test_split(
        train, train_labels, test_size=0.3, random_state=seed, stratify=train_labels
    )
    scores = [_fitted(fit, fit_labels, strength).score(held_out, held_out_labels) for strength in STRENGTHS]
    return _fitted(train, train_labels, STRENGTHS[int(np.argmax(scores))]).score(test, test_labels)


def _fitted(features, labels, strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=200).fit(features, labels)
