"""The classic fine-tuning recipe for InceptionV3, line for line, in Keras 3: what Graft's speed is measured against.

    python -m benchmarks.seed_recipe IMAGES WEIGHTS --answers FILE [--epochs 2]

Every image is decoded, augmented and passed through the whole network in every epoch, in float32. As in the recipe, val
is augmented too while it trains, and BatchNormalization above the cut learns new statistics. Two things had to change:
its 172 frozen layers are today's 249, through mixed8 (see `BACKBONES`), and `class_weight='auto'` is gone, which Keras
had ignored. What is reported in the end is the accuracy on the plain val images.
"""

import keras
from keras.applications.inception_v3 import InceptionV3, preprocess_input
from keras.layers import Dense, GlobalAveragePooling2D
from keras.optimizers import SGD
from tensorflow.keras.preprocessing.image import ImageDataGenerator  # legacy: Keras 3 has it in this place only

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


def read_images(folder, *, augmented: bool):
    ranges = {
        "rotation_range": AUGMENTATION["rotation_degrees"],
        "width_shift_range": AUGMENTATION["shift"],
        "height_shift_range": AUGMENTATION["shift"],
        "shear_range": AUGMENTATION["shear"],
        "zoom_range": AUGMENTATION["zoom"],
        "horizontal_flip": AUGMENTATION["horizontal_flip"],
    }
    generator = ImageDataGenerator(preprocessing_function=preprocess_input, **(ranges if augmented else {}))
    return generator.flow_from_directory(str(folder), target_size=IMAGE_SIZE, batch_size=BATCH_SIZE, shuffle=augmented)


def add_new_last_layer(base_model: keras.Model, classes: int) -> keras.Model:
    features = GlobalAveragePooling2D()(base_model.output)
    hidden = Dense(HIDDEN_UNITS, activation="relu")(features)
    predictions = Dense(classes, activation="softmax")(hidden)
    return keras.Model(base_model.input, predictions)


def setup_to_transfer_learn(model: keras.Model, base_model: keras.Model) -> None:
    """Freeze the whole backbone."""
    for layer in base_model.layers:
        layer.trainable = False
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])


def setup_to_finetune(model: keras.Model) -> None:
    """Freeze what stands below the top two inception blocks."""
    frozen = layers_through(model, FROZEN_THROUGH)
    for layer in model.layers[:frozen]:
        layer.trainable = False
    for layer in model.layers[frozen:]:
        layer.trainable = True
    model.compile(optimizer=SGD(learning_rate=1e-4, momentum=0.9), loss="categorical_crossentropy",
                  metrics=["accuracy"])


def main() -> None:
    arguments = read_arguments(__doc__)
    keras.utils.set_random_seed(1)
    train = read_images(arguments.images / "train", augmented=True)
    val = read_images(arguments.images / "val", augmented=True)
    base_model = InceptionV3(weights=arguments.weights, include_top=False)
    model = add_new_last_layer(base_model, train.num_classes)
    print("stage transfer")
    setup_to_transfer_learn(model, base_model)
    fit(model, train, val, arguments.epochs)
    print("stage finetune")
    setup_to_finetune(model)
    fit(model, train, val, arguments.epochs)
    print("stage scoring")
    plain = read_images(arguments.images / "val", augmented=False)
    write_answers(arguments.answers, plain.filenames, list(plain.class_indices), model.predict(plain, verbose=0))


if __name__ == "__main__":
    main()
