import numpy as np
import pytest
from PIL import Image

from graft.model import heatmaps


class BrightCorner:
    """A model with a known reason: the answer's logit is the mean of one part of the image, the other's is 0."""

    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns

    def run(self, images):
        part = images[:, self.rows, self.columns].mean(axis=(1, 2, 3)) / 25
        return np.stack([part, np.zeros(len(images))], axis=1).astype(np.float32), None


def test_the_part_that_the_answer_hangs_on_is_the_hottest():
    image = np.full((60, 80, 3), 30, dtype=np.uint8)
    image[6:18, 56:72] = 250
    heat = heatmaps.occlusion(BrightCorner(slice(6, 18), slice(56, 72)), image)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert heat.shape == (heatmaps.STEPS, heatmaps.STEPS)
    centre_px = (row + 0.5) * 60 / heatmaps.STEPS, (column + 0.5) * 80 / heatmaps.STEPS
    assert 6 <= centre_px[0] <= 18 and 56 <= centre_px[1] <= 72
    assert heat[7:, :4].max() < 0.02 * heat.max(), "what the model does not look at stays cold"


def test_an_image_of_one_colour_has_no_heat():
    heat = heatmaps.occlusion(BrightCorner(slice(0, 9), slice(0, 9)), np.full((20, 20, 3), 77, dtype=np.uint8))
    assert abs(heat).max() < 1e-6


def test_log_odds_are_those_of_the_probability():
    logits = np.array([[2.0, 1.0, -1.0]])
    probability = np.exp(2) / np.exp(logits).sum()
    assert heatmaps._log_odds(logits, 0) == pytest.approx([np.log(probability / (1 - probability))], abs=1e-12)


def test_overlay_dims_what_is_cold_and_reddens_what_is_hot():
    heat = np.zeros((10, 10))
    heat[:5] = 1.0
    pixels = np.asarray(heatmaps.overlay(Image.new("RGB", (40, 40), (120, 120, 120)), heat), dtype=float)
    hot, cold = pixels[5, 20], pixels[35, 20]
    assert hot[0] > hot[2] + 50 and np.ptp(cold) <= 1 and cold.mean() < 60


def test_nothing_speaks_for_the_answer_is_no_error():
    picture = heatmaps.overlay(Image.new("RGB", (8, 6), "white"), np.full((10, 10), -1.0))
    assert picture.size == (8, 6)
