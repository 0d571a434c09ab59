import numpy as np
import pytest
import test_fitting
from PIL import Image

from pipeline.training import backend, fitting, heads, learning_rate
from tasks import find_learning_rate


def swept(**options):
    backend.make_deterministic(1)
    head = heads.build_head(8, 2, hidden_units=0, dropout=0)
    fitting.prepare(head, "sgd", 0.9, 0.0)
    before = [each.copy() for each in head.get_weights()]
    rates, losses = learning_rate.sweep(head, test_fitting.blobs(1), batch_size=16, seed=1, **options)
    return head, before, rates, losses


def test_the_loss_falls_then_rises_and_the_weights_are_as_before():
    head, before, rates, losses = swept(steps=60)
    assert np.allclose(rates, np.geomspace(1e-7, 1.0, 60)[: len(rates)])
    assert losses.min() < 0.8 * losses[0]
    assert all(np.array_equal(a, b) for a, b in zip(before, head.get_weights()))
    assert float(head.optimizer.iterations) == 0
    assert abs(float(head.optimizer.learning_rate) - 0.01) < 1e-9
    chosen = learning_rate.suggestion(rates, losses)
    at_chosen = [loss for rate, loss in zip(rates, losses) if rate <= chosen][-1]
    assert losses.min() < at_chosen < losses[0] * 1.05


def test_the_suggestion_is_a_tenth_of_the_rate_with_the_lowest_loss():
    assert learning_rate.suggestion(np.array([1e-4, 1e-3, 1e-2, 1e-1]), np.array([3.0, 2.0, 1.0, np.nan])) == 1e-3


def test_the_sweep_ends_where_the_loss_diverges(monkeypatch):
    monkeypatch.setattr(learning_rate, "HIGHEST", 1e6)
    _, _, rates, losses = swept(steps=60)
    assert len(rates) < 60
    assert losses[-1] >= learning_rate.DIVERGED * losses.min()


@pytest.mark.parametrize("now", [1e-3, "auto"])
def test_the_plot_can_be_drawn_whether_the_rate_is_a_number_or_auto(now, tmp_path):
    find_learning_rate.draw(np.array([1e-3, 1e-2]), np.array([2.0, 1.0]), 1e-3, now, tmp_path / "plot.png")
    assert Image.open(tmp_path / "plot.png").size[0] > 0
