"""The same two stages as a careful user writes them today, after Keras's own guides: the stronger comparator.

    python -m benchmarks.careful_recipe IMAGES WEIGHTS --answers FILE [--epochs 2]

tf.data reads, keeps the decoded images in memory and augments ahead in threads, with the recipe's ranges (but for its
shear, 0.2 of a degree: a resample saved); the network computes in mixed_bfloat16; every BatchNormalization layer is
frozen by itself; val is never augmented. Every image still passes through the whole network in every epoch.
"""

import keras
import tensorflow as tf
from keras import layers
from keras.applications.inception_v3 import InceptionV3, preprocess_input
from keras.optimizers import SGD

from benchmarks.recipe import (
    AUGMENTATION,
    BATCH_SIZE,
    FROZEN_THROUGH,
    HIDDEN_UNITS,
    IMAGE_SIZE,
    fit,
    layers_through,
    read_arguments,
    write_answers,
)


def read_images(folder):
    """uint8-valued float32 images and one-hot labels, one by one, kept in memory once read; their paths and classes."""
    dataset = keras.utils.image_dataset_from_directory(
        folder, label_mode="categorical", image_size=IMAGE_SIZE, batch_size=None, shuffle=False, verbose=False)
    return dataset.cache(), dataset.file_paths, dataset.class_names


def augmented(dataset, images: int):
    shift = AUGMENTATION["shift"]
    augmentation = keras.Sequential([
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(AUGMENTATION["rotation_degrees"] / 360),
        layers.RandomTranslation(shift, shift),
        layers.RandomZoom(AUGMENTATION["zoom"]),
    ])
    batches = dataset.shuffle(images, seed=1).batch(BATCH_SIZE)
    return batches.map(lambda x, y: (augmentation(x, training=True), y), num_parallel_calls=tf.data.AUTOTUNE)


def build(weights, classes: int) -> tuple[keras.Model, keras.Model]:
    base = InceptionV3(weights=weights, include_top=False, input_shape=(*IMAGE_SIZE, 3))
    base.trainable = False
    inputs = keras.Input((*IMAGE_SIZE, 3))
    features = layers.GlobalAveragePooling2D()(base(preprocess_input(inputs), training=False))
    hidden = layers.Dense(HIDDEN_UNITS, activation="relu")(features)
    return base, keras.Model(inputs, layers.Dense(classes, activation="softmax", dtype="float32")(hidden))


def unfreeze_top(base: keras.Model) -> None:
    """All above the cut, but for BatchNormalization: `training=False` alone does not protect it (keras#20285)."""
    base.trainable = True
    for place, layer in enumerate(base.layers):
        below = place < layers_through(base, FROZEN_THROUGH)
        layer.trainable = not (below or isinstance(layer, layers.BatchNormalization))


def main() -> None:
    arguments = read_arguments(__doc__)
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy("mixed_bfloat16")
    train, files, class_names = read_images(arguments.images / "train")
    train = augmented(train, len(files)).prefetch(tf.data.AUTOTUNE)
    val, files, _ = read_images(arguments.images / "val")
    val = val.batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)
    base, model = build(arguments.weights, len(class_names))
    print("stage transfer")
    model.compile("rmsprop", "categorical_crossentropy", metrics=["accuracy"])
    fit(model, train, val, arguments.epochs)
    print("stage finetune")
    unfreeze_top(base)
    model.compile(SGD(1e-4, momentum=0.9), "categorical_crossentropy", metrics=["accuracy"])
    fit(model, train, val, arguments.epochs)
    print("stage scoring")
    names = ["/".join(file.split("/")[-2:]) for file in files]
    write_answers(arguments.answers, names, class_names, model.predict(val, verbose=0))


if __name__ == "__main__":
    main()
