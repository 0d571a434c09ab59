"""The classic recipe's two stages as a careful user writes them today, after Keras's guides: the stronger comparison.

    python -m benchmarks.careful_recipe IMAGES WEIGHTS --answers FILE [--epochs 2]

tf.data reads the images, keeps them decoded in memory and augments in threads, with the recipe's ranges (without the
shear of 0.2 degrees, which would cost a resample). The network computes in mixed_bfloat16, each BatchNormalization
layer is frozen by itself, and val is never augmented. Every image still passes through the whole network in each epoch.
"""

from pathlib import Path

import keras
import tensorflow as tf
from keras import layers
from keras.applications.inception_v3 import InceptionV3, preprocess_input
from keras.optimizers import SGD

from benchmarks import recipe
from benchmarks.command import read_options
from benchmarks.inputs import RECIPE_AUGMENTATION as RANGES
from graft.errors import reported


def read_images(folder):
    """A dataset of float32 images (values 0 to 255) and one-hot labels, cached in memory; its paths and classes."""
    dataset = keras.utils.image_dataset_from_directory(
        folder, label_mode="categorical", image_size=recipe.IMAGE_SIZE, batch_size=None, shuffle=False, verbose=False)
    return dataset.cache(), dataset.file_paths, dataset.class_names


def augmented(dataset, images: int):
    augmentation = keras.Sequential([
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(RANGES["rotation_degrees"] / 360),
        layers.RandomTranslation(RANGES["shift"], RANGES["shift"]),
        layers.RandomZoom(RANGES["zoom"]),
    ])
    batches = dataset.shuffle(images, seed=1).batch(recipe.BATCH_SIZE)
    return batches.map(lambda x, y: (augmentation(x, training=True), y), num_parallel_calls=tf.data.AUTOTUNE)


def build(weights, classes: int) -> tuple[keras.Model, keras.Model]:
    """The backbone, and the model with its new head."""
    base = InceptionV3(weights=weights, include_top=False, input_shape=(*recipe.IMAGE_SIZE, 3))
    base.trainable = False
    inputs = keras.Input((*recipe.IMAGE_SIZE, 3))
    features = layers.GlobalAveragePooling2D()(base(preprocess_input(inputs), training=False))
    hidden = layers.Dense(recipe.HIDDEN_UNITS, activation="relu")(features)
    return base, keras.Model(inputs, layers.Dense(classes, activation="softmax", dtype="float32")(hidden))


def compile_for_transfer(model: keras.Model) -> None:
    model.compile("rmsprop", "categorical_crossentropy", metrics=["accuracy"])


def compile_for_finetune(model: keras.Model, base: keras.Model) -> None:
    """Train the layers above the cut, except BatchNormalization: `training=False` does not protect it (keras#20285)."""
    base.trainable = True
    for place, layer in enumerate(base.layers):
        below = place < recipe.frozen_layers(base)
        layer.trainable = not (below or isinstance(layer, layers.BatchNormalization))
    model.compile(SGD(1e-4, momentum=0.9), "categorical_crossentropy", metrics=["accuracy"])


def main() -> None:
    options = read_options(__doc__, "images", "weights", answers=Path, epochs=2)
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy("mixed_bfloat16")
    train, files, class_names = read_images(options.images / "train")
    train = augmented(train, len(files)).prefetch(tf.data.AUTOTUNE)
    val, _, _ = read_images(options.images / "val")
    val = val.batch(recipe.BATCH_SIZE).prefetch(tf.data.AUTOTUNE)
    base, model = build(options.weights, len(class_names))
    recipe.fit(model, train, val, options.epochs, transfer=lambda: compile_for_transfer(model),
               finetune=lambda: compile_for_finetune(model, base))
    test, files, _ = read_images(options.images / "test")
    names = ["/".join(file.split("/")[-2:]) for file in files]
    recipe.write_answers(options.answers, names, class_names, model.predict(test.batch(recipe.BATCH_SIZE), verbose=0))


if __name__ == "__main__":
    with reported():
        main()
