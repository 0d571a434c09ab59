import numpy as np
import pytest
from populations import draw
from sklearn.metrics import log_loss

from pipeline.evaluation import calibration
from pipeline.losses import log_losses


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def sample(rng, images=4000, classes=3, spread=3.0):
    """Logits, and labels drawn from exactly the probabilities that they say."""
    logits = rng.normal(0, spread, (images, classes))
    cumulated = softmax(logits).cumsum(axis=1)
    labels = (rng.random((images, 1)) > cumulated).sum(axis=1).clip(0, classes - 1)
    return logits, labels


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_temperature_is_found_again(temperature):
    logits, labels = sample(np.random.default_rng(1))
    assert calibration.fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.1)


@pytest.mark.parametrize("seed", range(30))
def test_log_loss_never_gets_worse(seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, rng.uniform(0.01, 30), (rng.integers(2, 60), rng.integers(2, 6))).astype(np.float32)
    labels = rng.integers(0, logits.shape[1], len(logits))
    temperature = calibration.fit_temperature(logits, labels)
    after = log_losses(logits.astype(float) / temperature, labels).mean()
    assert after <= log_losses(logits.astype(float), labels).mean()


@pytest.mark.parametrize("sharpness", [1.0, 1.3])
def test_log_loss_of_new_images_hardly_gets_worse_where_val_has_no_mistake(sharpness):
    rng = np.random.default_rng(8)
    new, new_labels = draw(rng, 20_000, 2, 2.9, sharpness)
    before, costs, faultless = log_loss(new_labels, new), [], 0
    for _ in range(40):
        val, labels = draw(rng, 60, 2, 2.9, sharpness)      # 98 % right: one mistake on average
        faultless += (val.argmax(axis=1) == labels).all()
        scaled = np.log(new) / calibration.fit_temperature(np.log(val), labels)
        costs.append(log_losses(scaled, new_labels).mean() - before)
    assert faultless >= 8
    assert max(costs) < 0.15 * before       # without the prior it is ten times as high


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_uncalibrated_takes_the_temperature_away_again(temperature):
    logits, _ = sample(np.random.default_rng(3))
    before = calibration.uncalibrated(softmax(logits / temperature), temperature)
    np.testing.assert_allclose(before, softmax(logits), atol=1e-12)


def test_calibration_error_of_a_hand_made_case():
    # bin (0.6, 0.6667]: confidence 0.65, half right; bin (0.9333, 1]: confidence 0.95, all right
    confidences, is_right = np.array([0.65, 0.65, 0.95, 0.95]), np.array([True, False, True, True])
    assert calibration.calibration_error(confidences, is_right) == pytest.approx(0.5 * 0.15 + 0.5 * 0.05)


def test_bins_take_their_upper_edge():
    assert calibration.bin_numbers(np.array([0.0, 1 / 15, 1 / 15 + 1e-9, 14 / 15, 1.0])).tolist() == [0, 0, 1, 13, 14]


def test_reliability_counts_every_image_once():
    confidences = np.random.default_rng(4).uniform(0.3, 1, 500)
    bins = calibration.reliability(confidences, np.ones(500, dtype=bool))
    assert bins.images.sum() == 500
    assert (np.nan_to_num(bins.confidence) @ bins.images) == pytest.approx(confidences.sum())
