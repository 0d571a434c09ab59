"""Find an initial learning rate by a sweep from far too low to far too high (the range test of Smith 2017)."""

import keras
import numpy as np

from graft.machine.threads import InThreads
from pipeline.training import fitting

LOWEST, HIGHEST = 1e-7, 1.0
SMOOTHING = 0.9         # weight of the past in the moving average of the loss
DIVERGED = 4.0          # the sweep ends at this multiple of the lowest loss


def sweep(model: keras.Model, train, *, batch_size: int, seed: int, steps: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Train with a learning rate that grows by the same factor in each step, and record the loss.

    Args:
        model: compiled by `fitting.prepare`. Its weights are restored at the end.
        train: `pipeline.training.examples.Examples` or `Vectors`.
        batch_size: images per step.
        seed: of the order of the images.
        steps: how many at most.

    Returns:
        Learning rates and smoothed losses, float64 `(steps run,)` each; fewer than `steps` if the loss diverged.
    """
    state = [*model.variables, *model.optimizer.variables]
    before = [np.array(each) for each in state]
    rates, losses, mean = np.geomspace(LOWEST, HIGHEST, steps), [], 0.0
    order = np.random.default_rng(seed).permutation(len(train))
    batches = np.resize(order, (steps, batch_size))
    one_hot = np.eye(model.output.shape[-1], dtype=np.float32)

    def read(indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return train.batch(indices, 0).astype(np.float32), one_hot[train.labels[indices]]

    with InThreads(read, batches, threads=1) as inputs:
        for step, (images, labels) in enumerate(inputs):
            model.optimizer.learning_rate = rates[step]
            logs = model.train_on_batch(images, labels, return_dict=True)
            mean = SMOOTHING * mean + (1 - SMOOTHING) * float(logs["loss"])
            losses.append(mean / (1 - SMOOTHING ** (step + 1)))
            if not losses[-1] < DIVERGED * min(losses):
                break
    fitting.assign(state, before)
    return rates[: len(losses)], np.array(losses)


def suggestion(rates: np.ndarray, losses: np.ndarray) -> float:
    """A tenth of the learning rate with the lowest loss, a rule of thumb that stays clear of divergence.

    Args:
        rates, losses: see `sweep`.
    """
    return float(rates[int(np.nanargmin(losses))] / 10)
