"""Random weights from which a backbone can be trained."""

import keras


def scale_random_weights(network: keras.Model, images) -> None:
    """Keep the signal of an untrained network at the same magnitude from layer to layer, so that it can be trained.

    Without this, MobileNetV2 shrinks its input to 1e-17. Each BatchNormalization, from first to last, takes the mean
    square of its inputs as its variance (data-dependent initialization, Krähenbühl et al. 2016). All channels of a
    layer share one value: normalizing each channel separately would amplify noise until it hides the picture.

    Args:
        network: a backbone; its BatchNormalization layers are changed in place.
        images: uint8 `(batch, height, width, 3)`.
    """
    if not any(isinstance(layer, keras.layers.BatchNormalization) for layer in network.layers):
        return

    def scaled(operation):
        def call(*inputs, **options):
            if isinstance(operation, keras.layers.BatchNormalization):
                mean_square = keras.ops.mean(keras.ops.square(inputs[0]))
                operation.moving_variance.assign(keras.ops.broadcast_to(mean_square, operation.moving_variance.shape))
            return operation(*inputs, **options)
        return call

    network._run_through_graph(keras.ops.convert_to_tensor(images), operation_fn=scaled)
