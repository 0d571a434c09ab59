import math

import keras
import numpy as np
import pytest

from pipeline.training import backbones, optimizers


@pytest.mark.parametrize(("decay", "at_the_middle", "at_the_end"), [
    ("cosine", 0.1 * (1 + math.cos(math.pi * 0.5)) / 2, 0.0), ("none", 0.1, 0.1)])
def test_the_rate_rises_in_a_line_then_follows_half_a_cosine(decay, at_the_middle, at_the_end):
    rate = optimizers.Schedule(0.1, warmup_epochs=2, decay=decay).over(epochs=10, steps_per_epoch=5)
    assert rate(0) == 0
    assert rate(5) == pytest.approx(0.05)
    assert rate(10) == pytest.approx(0.1)
    assert rate(30) == pytest.approx(at_the_middle, abs=1e-7)
    assert rate(50) == pytest.approx(at_the_end, abs=1e-7)


@pytest.mark.parametrize("warmup_epochs", [0, 1.5])
def test_the_rate_is_that_of_keras(warmup_epochs):
    rate = optimizers.Schedule(0.1, warmup_epochs, "cosine").over(epochs=4, steps_per_epoch=8)
    warmup = round(8 * warmup_epochs)
    first = {"warmup_target": 0.1, "warmup_steps": warmup} if warmup else {}
    expected = keras.optimizers.schedules.CosineDecay(0.0 if warmup else 0.1, 32 - warmup, **first)
    assert [rate(step) for step in range(33)] == pytest.approx([float(expected(step)) for step in range(33)], abs=1e-7)
    assert optimizers.Schedule(0.1).over(epochs=1, steps_per_epoch=8)(5) == 0.1


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop"])
def test_a_factor_scales_the_step_of_its_variable_alone(name):
    variables = [keras.Variable([1.0, 2.0], name=each) for each in "ab"]
    optimizer = optimizers.build(name, 0.0, {variables[0].path: 0.25})
    optimizer.learning_rate = 0.1
    optimizer.apply([keras.ops.ones(2), keras.ops.ones(2)], variables)
    moved = [np.array([1.0, 2.0]) - np.array(each) for each in variables]
    assert np.allclose(moved[0], 0.25 * moved[1], rtol=1e-5)
    assert moved[1][0] > 0


def test_the_average_of_the_weights_is_that_of_keras_and_its_reach_can_be_set_anew():
    def averages(optimizer):
        variable = keras.Variable([1.0, 2.0])
        optimizer.learning_rate = 0.1
        yield optimizer, variable
        for gradient in (1.0, 3.0, -2.0):
            optimizer.apply([gradient * keras.ops.ones(2)], [variable])
        optimizer.finalize_variable_values([variable])
        yield np.array(variable)

    ours = averages(optimizers.build("sgd", 0.0, {}, is_averaging=True))
    optimizer, variable = next(ours)
    optimizer.build([variable])
    for steps in (9, 4):
        optimizers.average_over(optimizer, steps)
    theirs = averages(keras.optimizers.SGD(use_ema=True, ema_momentum=0.8))
    next(theirs)
    np.testing.assert_allclose(next(ours), next(theirs), rtol=1e-6)


def test_each_block_learns_slower_than_the_one_above():
    _, top = backbones.split(backbones.build("InceptionV3", (75, 75)), "mixed8")
    factors = optimizers.layer_factors(top, 0.5)
    by_path = {variable.path: variable for variable in top.variables}
    assert set(factors) == set(by_path)
    kernels = [factors[layer.kernel.path] for layer in _convolutions(top)]
    assert kernels[:9] == [0.25] * 9        # mixed9
    assert kernels[9:] == [0.5] * 9         # mixed10
    assert optimizers.layer_factors(top, 1.0) == {}


def _convolutions(top):
    inner = next(layer for layer in top.layers if isinstance(layer, keras.Model))
    return [layer for layer in inner.operations if isinstance(layer, keras.layers.Conv2D)]
