"""The training loop: deterministic, stopped early on val, killed and continued without a trace.

Why not `Model.fit` with `BackupAndRestore`: that replays the epoch, forgets early stopping and the random state, and
deletes its folder at the end. Here the whole state is a handful of arrays and five numbers, and one file holds them.
"""

import json
import os
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

CHECKPOINT_EVERY_S = 60


@dataclass
class Progress:
    """Where a fit stands; together with the arrays in `_arrays` this is all there is to continue from.

    Attributes:
        epoch, step: the next ones to run.
        losses, accuracies: of the steps of this epoch that have run.
        history: a row per finished epoch.
        best_epoch: the epoch with the lowest val loss, -1 for the model as it was before the first.
    """

    epoch: int = 0
    step: int = 0
    losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    history: list[dict] = field(default_factory=list)
    best_epoch: int = -1
    best_loss: float = float("inf")

    def summary(self) -> dict:
        """What to tell of a finished fit: how many epochs it took, and its best model on val."""
        return {"epochs": len(self.history), "best_epoch": self.best_epoch + 1, "val_loss": self.best_loss}


def fit(
    model: keras.Model,
    train,
    val,
    *,
    checkpoint: Path,
    epochs: int,
    patience: int,
    batch_size: int,
    optimizer: str,
    learning_rate: float,
    momentum: float,
    label_smoothing: float,
    class_weights: str,
    seed: int,
) -> Progress:
    """Train until `epochs` are done or the val loss has not fallen for `patience` epochs; the best weights are kept.

    Args:
        model: gives logits, float `(batch, classes)`. Its weights before the first epoch compete for the best, too.
        train, val: `graft.training.examples.Examples` or `Vectors`.
        checkpoint: a file that is written every minute and after each epoch, continued from if it is there, and
            deleted at the end. See `graft.training.checkpoints`.
        class_weights: "balanced": each class weighs the same in the loss; "none": each image does.

    Returns:
        The finished `Progress`. The model holds the best weights.
    """
    model.compile(
        _optimizer(optimizer, learning_rate, momentum),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing),
        metrics=["accuracy"],
        weighted_metrics=[],
    )
    model.optimizer.build(model.trainable_variables)
    weights = balanced_weights(train.labels) if class_weights == "balanced" else np.ones(len(train), np.float32)
    fitting = _Fit(model, train, val, weights, batch_size, seed, checkpoint)
    with _sigterm_as_flag() as terminated:
        fitting.run(epochs, patience, terminated)
    return fitting.progress


def predict(model: keras.Model, examples, batch_size: int = 32) -> np.ndarray:
    """The model's outputs for the first view of each example, float32 `(len(examples), units)`."""
    outputs = []
    for start in range(0, len(examples), batch_size):
        indices = np.arange(start, min(start + batch_size, len(examples)))
        full = np.resize(indices, batch_size)       # one batch shape: one compiled program, the same bits for each row
        outputs.append(np.asarray(model.predict_on_batch(_float32(examples.batch(full, 0))))[: len(indices)])
    return np.concatenate(outputs)


def balanced_weights(labels: np.ndarray) -> np.ndarray:
    """float32 `(images,)`: each class weighs the same in all, the mean weight is 1 (scikit-learn's "balanced")."""
    counts = np.bincount(labels)
    return (len(labels) / (np.count_nonzero(counts) * counts[labels])).astype(np.float32)


def score(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Accuracy and log loss of logits, float `(images, classes)`."""
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    loss = -log_probabilities[np.arange(len(labels)), labels].mean()
    return float((logits.argmax(axis=1) == labels).mean()), float(loss)


class _Fit:
    def __init__(self, model, train, val, weights, batch_size, seed, checkpoint):
        self.model, self.train, self.val, self.weights = model, train, val, weights
        self.batch_size, self.seed, self.checkpoint = batch_size, seed, checkpoint
        self.steps = -(-len(train) // batch_size)
        self.one_hot = np.eye(model.output.shape[-1], dtype=np.float32)
        self.progress, self.best = Progress(), _copy(model)
        self.saved_at = time.monotonic()

    def run(self, epochs: int, patience: int, terminated: threading.Event) -> None:
        if self.checkpoint.exists():
            self._restore()
        elif epochs:
            _, self.progress.best_loss = score(predict(self.model, self.val), self.val.labels)
        while self.progress.epoch < epochs and self._waited() < patience:
            self._epoch(terminated)
        _assign(self.model.variables, self.best)
        self.checkpoint.unlink(missing_ok=True)

    def _waited(self) -> int:
        return self.progress.epoch - (self.progress.best_epoch + 1)

    def _epoch(self, terminated: threading.Event) -> None:
        progress = self.progress
        order = np.random.default_rng((self.seed, progress.epoch)).permutation(len(self.train))
        batches = np.resize(order, (self.steps, self.batch_size))       # the last one is filled up from the first
        with tqdm(desc=f"epoch {progress.epoch + 1}", total=self.steps, initial=progress.step, unit="step",
                  leave=False, disable=None) as bar:
            for indices in batches[progress.step :]:
                self._step(indices)
                bar.update()
                if terminated.is_set() or time.monotonic() - self.saved_at > CHECKPOINT_EVERY_S:
                    self._save()
                if terminated.is_set():
                    raise SystemExit(128 + signal.SIGTERM)
        self._close_epoch()
        self._save()

    def _step(self, indices: np.ndarray) -> None:
        progress = self.progress
        logs = self.model.train_on_batch(
            _float32(self.train.batch(indices, progress.epoch)),
            self.one_hot[self.train.labels[indices]],
            sample_weight=self.weights[indices],
            return_dict=True,
        )
        progress.losses.append(float(logs["loss"]))
        progress.accuracies.append(float(logs["accuracy"]))
        progress.step += 1

    def _close_epoch(self) -> None:
        progress = self.progress
        val_accuracy, val_loss = score(predict(self.model, self.val), self.val.labels)
        row = {
            "epoch": progress.epoch + 1,
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            "accuracy": float(np.mean(progress.accuracies)),
            "loss": float(np.mean(progress.losses)),
            "val_accuracy": val_accuracy,
            "val_loss": val_loss,
        }
        print(f"epoch {row['epoch']}: loss {row['loss']:.4f}, accuracy {row['accuracy']:.4f}, "
              f"val loss {val_loss:.4f}, val accuracy {val_accuracy:.4f}", flush=True)
        progress.history.append(row)
        if val_loss < progress.best_loss:
            progress.best_epoch, progress.best_loss, self.best = progress.epoch, val_loss, _copy(self.model)
        progress.epoch, progress.step, progress.losses, progress.accuracies = progress.epoch + 1, 0, [], []

    def _arrays(self) -> list:
        return [*self.model.variables, *self.model.optimizer.variables]

    def _save(self) -> None:
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.checkpoint.with_name(f".{self.checkpoint.name}.{os.getpid()}.npz")
        arrays = {f"now_{i}": np.asarray(each) for i, each in enumerate(self._arrays())}
        arrays |= {f"best_{i}": each for i, each in enumerate(self.best)}
        np.savez(temporary, progress=np.array(json.dumps(asdict(self.progress))), **arrays)
        temporary.replace(self.checkpoint)
        self.saved_at = time.monotonic()

    def _restore(self) -> None:
        with np.load(self.checkpoint, allow_pickle=False) as arrays:
            self.progress = Progress(**json.loads(str(arrays["progress"])))
            _assign(self._arrays(), [arrays[f"now_{i}"] for i in range(len(self._arrays()))])
            self.best = [arrays[f"best_{i}"] for i in range(len(self.best))]
        print(f"continuing at epoch {self.progress.epoch + 1}, step {self.progress.step + 1}", flush=True)


def _optimizer(name: str, learning_rate: float, momentum: float) -> keras.optimizers.Optimizer:
    if name == "adam":
        return keras.optimizers.Adam(learning_rate)
    return {"sgd": keras.optimizers.SGD, "rmsprop": keras.optimizers.RMSprop}[name](learning_rate, momentum=momentum)


def _float32(inputs: np.ndarray) -> np.ndarray:
    return inputs.astype(np.float32, copy=False)


def _copy(model: keras.Model) -> list[np.ndarray]:
    return [np.array(variable) for variable in model.variables]


def _assign(variables: list, values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values):
        variable.assign(value)


@contextmanager
def _sigterm_as_flag():
    """SIGTERM sets the flag, so that the step in progress ends and the state is saved before the process does."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    before = signal.signal(signal.SIGTERM, lambda *_: flag.set())
    try:
        yield flag
    finally:
        signal.signal(signal.SIGTERM, before)
