"""Optimizers: the learning rate over time, and from layer to layer."""

from dataclasses import dataclass

import keras
from keras.optimizers import SGD, Adam, RMSprop

from pipeline.training import backbones


@dataclass(frozen=True)
class Schedule:
    """The learning rate over time: from 0 up to `learning_rate`, then along half a cosine to 0, or as it is.

    Attributes:
        warmup_epochs: how long it rises in a straight line; 0 for not at all.
        decay: "cosine" (to 0 in the last of all epochs) or "none".
    """

    learning_rate: float
    warmup_epochs: float = 0.0
    decay: str = "none"

    def over(self, epochs: int, steps_per_epoch: int):
        """As Keras takes it: a number, or a schedule over the optimizer's steps, which its checkpoint counts."""
        steps, warmup = epochs * steps_per_epoch, round(self.warmup_epochs * steps_per_epoch)
        if self.decay == "none" and not warmup:
            return self.learning_rate
        first = {"warmup_target": self.learning_rate, "warmup_steps": warmup} if warmup else {}
        return keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else self.learning_rate, max(1, steps - warmup), alpha=1.0 if self.decay == "none" else 0.0,
            **first,
        )


def build(name: str, schedule, momentum: float, factors: dict[str, float]) -> keras.optimizers.Optimizer:
    """An optimizer whose learning rate is multiplied, for each variable, by its factor.

    Args:
        name: adam, sgd or rmsprop; `momentum` is of the last two.
        schedule: a number or a schedule of Keras.
        factors: by the variables' paths; 1 for those that are not named.
    """
    options = {} if name == "adam" else {"momentum": momentum}
    optimizer = {"adam": Adam, "sgd": SGD, "rmsprop": RMSprop}[name](schedule, **options)
    if any(factor != 1 for factor in factors.values()):
        _multiply(optimizer, factors)
    return optimizer


def _multiply(optimizer, factors: dict[str, float]) -> None:
    step = optimizer.update_step            # in every optimizer of Keras: what changes one variable

    def update_step(gradient, variable, learning_rate):
        own = optimizer._trainable_variables[optimizer._get_variable_index(variable)]   # `variable` is the backend's
        step(gradient, variable, learning_rate * factors.get(own.path, 1.0))

    optimizer.update_step = update_step


def layer_factors(top: keras.Model, layer_decay: float) -> dict[str, float]:
    """A factor for each variable of the top: `layer_decay` to the power of the blocks from it to the head.

    The last block has `layer_decay` itself, the head 1 (Howard and Ruder 2018: discriminative fine-tuning).
    """
    if layer_decay == 1:
        return {}
    network = next((layer for layer in top.layers if isinstance(layer, keras.Model)), top)
    ends, factors = backbones.block_ends(network), {}
    blocks = len(ends)
    for layer in network.operations:
        factors |= {variable.path: layer_decay ** max(1, blocks) for variable in getattr(layer, "variables", [])}
        blocks -= layer in ends
    return factors
