"""Optimizers whose learning rate changes over time, and from layer to layer."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from keras.optimizers import SGD, Adam, RMSprop

from pipeline.training import blocks


@dataclass(frozen=True)
class Schedule:
    """The learning rate over time: it rises from 0 to `learning_rate`, then stays, or falls to 0 along half a cosine.

    Attributes:
        learning_rate: the highest value.
        warmup_epochs: how long it rises linearly; 0 starts with the highest value.
        decay: "cosine", to reach 0 at the end of the last epoch, or "none".
    """

    learning_rate: float
    warmup_epochs: float = 0.0
    decay: str = "none"

    def over(self, epochs: int, steps_per_epoch: int) -> Callable[[int], float]:
        """The learning rate of a step, counted from 0.

        Args:
            epochs, steps_per_epoch: of the whole training.
        """
        warmup = round(self.warmup_epochs * steps_per_epoch)
        falling = max(1, epochs * steps_per_epoch - warmup)

        def rate(step: int) -> float:
            if step < warmup:
                return self.learning_rate * step / warmup
            done = min(1.0, (step - warmup) / falling) if self.decay == "cosine" else 0.0
            return self.learning_rate * (1 + math.cos(math.pi * done)) / 2

        return rate


def build(name: str, momentum: float, factors: dict[str, float], is_averaging: bool = False
          ) -> keras.optimizers.Optimizer:
    """Build an optimizer that multiplies the learning rate of each variable by a factor.

    Its attribute `learning_rate` is to be set before each step. Keras's own schedules become part of the compiled step,
    which has to be compiled again for another rate.

    Args:
        name: adam, sgd or rmsprop.
        momentum: for sgd and rmsprop.
        factors: path of a variable -> its factor, 1 by default.
        is_averaging: whether it keeps an average of the weights; see `average_over`.
    """
    options = {} if name == "adam" else {"momentum": momentum}
    optimizer = {"adam": Adam, "sgd": SGD, "rmsprop": RMSprop}[name](**options, use_ema=is_averaging)
    if is_averaging:        # a number would become part of the compiled step
        optimizer.ema_momentum = optimizer.add_variable((), name="averaging")
    if any(factor != 1 for factor in factors.values()):
        _multiply(optimizer, factors)
    return optimizer


def average_over(optimizer: keras.optimizers.Optimizer, steps: float) -> None:
    """Set how many steps the average of the weights reaches back, if the optimizer keeps one."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)        # of one that scales the loss, for float16
    if optimizer.use_ema:
        optimizer.ema_momentum.assign(steps / (1 + steps))


def reset(optimizer: keras.optimizers.Optimizer) -> None:
    """Give an optimizer the state that it had before its first step."""
    for variable in optimizer.variables:
        variable.assign(np.zeros(variable.shape))
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):      # Keras's own choice for mixed_float16
        optimizer.dynamic_scale.assign(optimizer.initial_scale)


def _multiply(optimizer, factors: dict[str, float]) -> None:
    step = optimizer.update_step            # in every Keras optimizer, the method that changes one variable

    def update_step(gradient, variable, learning_rate):
        own = optimizer._trainable_variables[optimizer._get_variable_index(variable)]   # `variable` has no path
        step(gradient, variable, learning_rate * factors.get(own.path, 1.0))

    optimizer.update_step = update_step


def layer_factors(top: keras.Model, layer_decay: float) -> dict[str, float]:
    """Learning rate factors that fall from block to block (discriminative fine-tuning, Howard and Ruder 2018).

    Args:
        top: the part of the backbone that trains.
        layer_decay: the ratio between one block and the next, above 0 to 1.

    Returns:
        path of each variable of the top -> `layer_decay` to the power of the number of blocks from it to the head: the
        last block has `layer_decay` itself. Empty if `layer_decay` is 1. The head's variables keep factor 1.
    """
    if layer_decay == 1:
        return {}
    network = next((layer for layer in top.layers if isinstance(layer, keras.Model)), top)
    candidates, factors = blocks.cuts(network), {}
    ends = [candidates[name] for name in blocks.block_ends(network)]
    above = len(ends)
    for layer in network.operations:
        factors |= {variable.path: layer_decay ** max(1, above) for variable in getattr(layer, "variables", [])}
        above -= layer in ends
    return factors
