import keras
import numpy as np
import pytest

from pipeline.training import imagenet


@pytest.mark.parametrize("name", ["MobileNetV3Small", "EfficientNetB0"])
def test_the_logits_are_a_linear_function_of_the_features(name):
    """Of the classifier's own kernel, whether it is a convolution of one pixel or dense."""
    keras.utils.set_random_seed(1)
    model = imagenet.with_features(imagenet._network(name, weights=None, input_shape=(224, 224, 3)))
    classifier = [layer for layer in model.layers if layer.weights][-1]
    kernel, bias = classifier.get_weights()
    answer = model(np.random.default_rng(1).integers(0, 256, (2, *model.input.shape[1:]), dtype=np.uint8))
    expected = np.asarray(answer["features"]) @ kernel.reshape(-1, 1000) + bias
    assert np.allclose(np.asarray(answer["logits"]), expected, atol=1e-5)
