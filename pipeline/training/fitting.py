"""The training loop: deterministic; a killed run continues to the same result.

`Model.fit` with `BackupAndRestore` would replay the epoch, forget early stopping and the random state, and delete its
folder at the end. Here, one file holds the whole state: some arrays and a few numbers.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from graft.machine.threads import InThreads
from pipeline.training import backend, checkpoints, optimizers, pace
from pipeline.training.examples import balanced_weights
from pipeline.training.interruption import leave, sigterm_as_flag
from pipeline.training.scoring import as_float32, predict, score

CHECKPOINT_EVERY_S = 20


@dataclass
class Progress:
    """How far a fit is. Together with the arrays in `_arrays`, this is the whole state to continue from.

    Attributes:
        epoch, step: the next ones to run, from 0.
        losses, accuracies: of the finished steps of this epoch.
        history: a row per finished epoch, see `tasks.artifacts.HISTORY_COLUMNS`.
        best_epoch: the epoch whose weights are kept, from 0; -1 for the model before the first epoch.
        best_loss: its val loss.
    """

    epoch: int = 0
    step: int = 0
    losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    history: list[dict] = field(default_factory=list)
    best_epoch: int = -1
    best_loss: float = float("inf")

    def summary(self) -> dict:
        """A finished fit in three numbers: its epochs, the kept one (from 1; 0 for none), and its val loss."""
        return {"epochs": len(self.history), "best_epoch": self.best_epoch + 1, "val_loss": self.best_loss}


def fit(
    model: keras.Model,
    train,
    val,
    *,
    checkpoint: Path,
    epochs: int,
    batch_size: int,
    optimizer: str,
    learning_rate: float,
    momentum: float,
    warmup_epochs: float,
    decay: str,
    label_smoothing: float,
    class_weights: str,
    seed: int,
    patience: int | None = None,
    learning_rate_factors: dict[str, float] | None = None,
    averaging_epochs: float = 0.0,
    last_epoch: int | None = None,
) -> tuple[Progress, np.ndarray]:
    """Train for `epochs`, or until the val loss has not fallen for `patience` of them.

    Args:
        model: gives logits, float `(batch, classes)`. One that was fitted before is not compiled again:
            only rates, epochs, patience and the images may differ from then.
        train, val: `pipeline.training.examples.Examples` or `Vectors`. Val may be None.
        checkpoint: a file written every `CHECKPOINT_EVERY_S` seconds, and continued from if it exists; the caller
            deletes it when the result is safe. See `pipeline.training.checkpoints`.
        epochs: how many at most.
        batch_size: images per step.
        optimizer, momentum, learning_rate, warmup_epochs, decay: see `pipeline.training.optimizers`.
        label_smoothing: 0 to 1, see `keras.losses.CategoricalCrossentropy`.
        class_weights: with "balanced", every class has the same weight in the loss; with "none", every image.
        seed: of the order of the images.
        patience: how many epochs without a lower val loss end the training, after which the model gets the weights of
            the lowest one, perhaps those before the first epoch; with None, it keeps the last ones.
        learning_rate_factors: path of a variable -> factor of its learning rate, 1 by default.
        averaging_epochs: how far the average of the weights reaches back that is validated and kept in their place
            (Polyak and Juditsky 1992); 0 for the weights themselves.
        last_epoch: train that many epochs of the schedule for `epochs`.

    Returns:
        The finished `Progress`, and the logits of val, float32 `(epochs + 1, images, classes)`, before the first epoch
        and after each.
    """
    steps = -(-len(train) // batch_size)
    if not model.compiled:
        prepare(model, optimizer, momentum, label_smoothing, learning_rate_factors, averaging_epochs > 0)
    weights = balanced_weights(train.labels) if class_weights == "balanced" else np.ones(len(train), np.float32)
    rate = optimizers.Schedule(learning_rate, warmup_epochs, decay).over(epochs, steps)
    fitting = _Fit(model, train, val, weights, rate, batch_size, seed, patience, checkpoint)
    optimizers.average_over(model.optimizer, averaging_epochs * steps)
    with sigterm_as_flag() as terminated:
        fitting.run(epochs if last_epoch is None else last_epoch, terminated)
    return fitting.progress, np.stack(fitting.logits)


def prepare(model, optimizer: str, momentum: float, label_smoothing: float, factors=None, is_averaging: bool = False
            ) -> None:
    """Compile a model for `fit`; see `pipeline.training.optimizers.build` for the arguments."""
    model.compile(
        optimizers.build(optimizer, momentum, factors or {}, is_averaging),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing),
        metrics=["accuracy"], weighted_metrics=[],
    )
    model.optimizer.build(model.trainable_variables)
    # else both are built in the first step: TensorFlow would trace it twice, and could not do so on several devices
    answer = np.zeros((1, model.output.shape[-1]), np.float32)
    model.compute_loss(None, answer, answer)
    model.metrics[-1].build(answer, answer)


class _Fit:
    def __init__(self, model, train, val, weights, rate, batch_size, seed, patience, checkpoint):
        self.model, self.train, self.val, self.weights, self.rate = model, train, val, weights, rate
        self.batch_size, self.seed, self.patience, self.checkpoint = batch_size, seed, patience, checkpoint
        self.steps = -(-len(train) // batch_size)
        self.one_hot = np.eye(model.output.shape[-1], dtype=np.float32)
        self.progress, self.best, self.logits = Progress(), [] if patience is None else _copy(model), []
        self.pace, self.steps_run, self.saved_at_s = pace.Pace(), 0, time.monotonic()
        optimizers.reset(model.optimizer)

    def run(self, epochs: int, terminated: threading.Event) -> None:
        """Train from the checkpoint, or from the start; see `fit`. Save and leave once `terminated` is set."""
        if found := checkpoints.read(self.checkpoint, asdict(self.progress), now=self._arrays(), best=self.best):
            self._restore(*found)
        if self._is_open(epochs):
            self._estimate(epochs - self.progress.epoch)
        if not self.logits:
            _, self.progress.best_loss = self._validate()
        self.pace = pace.Pace()
        while self._is_open(epochs):
            self._epoch(terminated)
        self._save()
        if terminated.is_set():         # while it validated after the last epoch
            leave()
        self._keep()
        if self.steps_run:
            print(self.pace.report(self.steps_run * self.batch_size, "images"), flush=True)

    def _is_open(self, epochs: int) -> bool:
        waited = self.progress.epoch - (self.progress.best_epoch + 1)
        return self.progress.epoch < epochs and (self.patience is None or waited < self.patience)

    def _estimate(self, epochs: int) -> None:
        """Print an estimate of the time, from a step that is run twice (to compile it, and to time it) and undone."""
        before = [np.array(each) for each in self._arrays()]
        inputs, indices = self._batch(np.resize(np.arange(len(self.train)), self.batch_size))
        for _ in range(2):
            began = time.perf_counter()
            self._train(inputs, indices)
        step_s = time.perf_counter() - began
        assign(self._arrays(), before)
        epoch_s = step_s * (self.steps + len(self.val or ()) / self.batch_size / 3)     # to predict takes a third
        print(f"{self.steps} steps per epoch, about {pace.duration(epoch_s)}; at most {epochs} epochs, about "
              f"{pace.duration(epochs * epoch_s)}", flush=True)

    def _epoch(self, terminated: threading.Event) -> None:
        progress = self.progress
        order = np.random.default_rng((self.seed, progress.epoch)).permutation(len(self.train))
        batches = np.resize(order, (self.steps, self.batch_size))       # the last one is filled with the first images
        with (InThreads(self._batch, batches[progress.step :], threads=1) as ahead,
              tqdm(desc=f"epoch {progress.epoch + 1}", total=self.steps, initial=progress.step, unit="step",
                   leave=False, disable=None) as bar):
            for inputs, indices in self.pace.inputs(ahead):
                self._step(inputs, indices)
                bar.update()
                if terminated.is_set() or time.monotonic() - self.saved_at_s > CHECKPOINT_EVERY_S:
                    self._save()
                if terminated.is_set():
                    leave()
        self._close_epoch()

    def _batch(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return as_float32(self.train.batch(indices, self.progress.epoch)), indices

    def _train(self, inputs: np.ndarray, indices: np.ndarray) -> dict:
        self.model.optimizer.learning_rate = self.rate(self.steps_done)
        batch = inputs, self.one_hot[self.train.labels[indices]], self.weights[indices]
        x, y, sample_weight = (backend.shared(self.model, each) for each in batch)
        return self.model.train_on_batch(x, y, sample_weight=sample_weight, return_dict=True)

    @property
    def steps_done(self) -> int:
        return self.progress.epoch * self.steps + self.progress.step

    def _step(self, inputs: np.ndarray, indices: np.ndarray) -> None:
        logs = self._train(inputs, indices)
        self.progress.losses.append(float(logs["loss"]))
        self.progress.accuracies.append(float(logs["accuracy"]))
        self.progress.step += 1
        self.steps_run += 1

    def _close_epoch(self) -> None:
        progress = self.progress
        with self._averaged():
            val_accuracy, val_loss = self._validate()
            if self.patience is None or val_loss < progress.best_loss:
                progress.best_epoch, progress.best_loss = progress.epoch, val_loss
                self.best = [] if self.patience is None else _copy(self.model)
        row = {"epoch": progress.epoch + 1, "learning_rate": self.rate(self.steps_done),
               "accuracy": float(np.mean(progress.accuracies)), "loss": float(np.mean(progress.losses)),
               "val_accuracy": val_accuracy, "val_loss": val_loss}
        on_val = f", val loss {val_loss:.4f}, val accuracy {val_accuracy:.4f}" if self.val is not None else ""
        print(f"epoch {row['epoch']}: loss {row['loss']:.4f}, accuracy {row['accuracy']:.4f}{on_val}", flush=True)
        progress.history.append(row)
        progress.epoch, progress.step, progress.losses, progress.accuracies = progress.epoch + 1, 0, [], []

    def _keep(self) -> None:
        if self.patience is None and self.progress.epoch:
            self._average()
        else:
            assign(self.model.variables, self.best)

    def _average(self) -> None:
        """Give the model the average of its weights, if the optimizer keeps one: a copy, as JAX would share memory."""
        weights = self.model.trainable_variables
        if not np.array(self.model.optimizer.iterations):     # float16 leaves out steps until its scale fits
            return
        self.model.optimizer.finalize_variable_values(weights)
        assign(weights, [np.array(variable) for variable in weights])

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The model with the average of its weights, if the optimizer keeps one."""
        newest = [np.array(variable) for variable in self.model.trainable_variables]
        self._average()
        yield
        assign(self.model.trainable_variables, newest)

    def _validate(self) -> tuple[float, float]:
        """The accuracy and the log loss on val, or NaN without val; keeps the logits."""
        if self.val is None:
            self.logits.append(np.empty((0, 0), np.float32))
            return float("nan"), float("nan")
        self.logits.append(predict(self.model, self.val))
        return score(self.logits[-1], self.val.labels)

    def _arrays(self) -> list:
        return [*self.model.variables, *self.model.optimizer.variables]

    def _save(self) -> None:
        state = {"now": self._arrays(), "best": self.best, "logits": self.logits}
        checkpoints.write(self.checkpoint, asdict(self.progress), **state)
        self.saved_at_s = time.monotonic()

    def _restore(self, progress: dict, arrays: dict) -> None:
        self.progress, self.best, self.logits = Progress(**progress), arrays["best"], arrays["logits"]
        assign(self._arrays(), arrays["now"])
        print(f"continuing at epoch {self.progress.epoch + 1}, step {self.progress.step + 1}", flush=True)


def _copy(model: keras.Model) -> list[np.ndarray]:
    return [np.array(variable) for variable in model.variables]


def assign(variables: list, values: list[np.ndarray]) -> None:
    """Set each variable to its value."""
    for variable, value in zip(variables, values):
        variable.assign(value)
