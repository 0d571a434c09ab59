"""The classic fine-tuning recipe for InceptionV3, ported line for line to Keras 3: what Graft's speed is compared with.

    python -m benchmarks.classic_recipe IMAGES WEIGHTS --answers FILE [--epochs 2]

In each epoch every image is decoded, augmented and passed through the whole network, in float32. As in the original,
val is augmented during training, and BatchNormalization above the cut learns new statistics. Two things differ: its 172
frozen layers are 249 in today's Keras (through `mixed8`, see `BACKBONES`), and `class_weight='auto'`, which Keras
ignored, is gone. The answers are those to the test images, without augmentation.
"""

from pathlib import Path

import keras
from keras.applications.inception_v3 import InceptionV3, preprocess_input
from keras.layers import Dense, GlobalAveragePooling2D
from keras.optimizers import SGD
from tensorflow.keras.preprocessing.image import ImageDataGenerator  # legacy: Keras 3 has it only here

from benchmarks import recipe
from benchmarks.command import read_options
from benchmarks.inputs import RECIPE_AUGMENTATION as RANGES
from graft.errors import reported


def read_images(folder, *, augmented: bool):
    ranges = {
        "rotation_range": RANGES["rotation_degrees"],
        "width_shift_range": RANGES["shift"],
        "height_shift_range": RANGES["shift"],
        "shear_range": RANGES["shear"],
        "zoom_range": RANGES["zoom"],
        "horizontal_flip": RANGES["horizontal_flip"],
    }
    generator = ImageDataGenerator(preprocessing_function=preprocess_input, **(ranges if augmented else {}))
    return generator.flow_from_directory(str(folder), target_size=recipe.IMAGE_SIZE, batch_size=recipe.BATCH_SIZE,
                                         shuffle=augmented)


def add_new_last_layer(base_model: keras.Model, classes: int) -> keras.Model:
    features = GlobalAveragePooling2D()(base_model.output)
    hidden = Dense(recipe.HIDDEN_UNITS, activation="relu")(features)
    predictions = Dense(classes, activation="softmax")(hidden)
    return keras.Model(base_model.input, predictions)


def setup_to_transfer_learn(model: keras.Model, base_model: keras.Model) -> None:
    """Freeze the whole backbone."""
    for layer in base_model.layers:
        layer.trainable = False
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])


def setup_to_finetune(model: keras.Model) -> None:
    """Freeze the layers below the top two inception blocks."""
    frozen = recipe.frozen_layers(model)
    for place, layer in enumerate(model.layers):
        layer.trainable = place >= frozen
    model.compile(optimizer=SGD(learning_rate=1e-4, momentum=0.9), loss="categorical_crossentropy",
                  metrics=["accuracy"])


def main() -> None:
    options = read_options(__doc__, "images", "weights", answers=Path, epochs=2)
    keras.utils.set_random_seed(1)
    train = read_images(options.images / "train", augmented=True)
    val = read_images(options.images / "val", augmented=True)
    base_model = InceptionV3(weights=options.weights, include_top=False)
    model = add_new_last_layer(base_model, train.num_classes)
    recipe.fit(model, train, val, options.epochs, transfer=lambda: setup_to_transfer_learn(model, base_model),
               finetune=lambda: setup_to_finetune(model))
    plain = read_images(options.images / "test", augmented=False)
    recipe.write_answers(options.answers, plain.filenames, list(plain.class_indices), model.predict(plain, verbose=0))


if __name__ == "__main__":
    with reported():
        main()
