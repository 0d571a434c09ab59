"""What the two recipes that Graft is measured against have in common: arguments, progress lines, answers."""

import argparse
import json
from pathlib import Path

import keras

BATCH_SIZE = 32
IMAGE_SIZE = (299, 299)
HIDDEN_UNITS = 1024
FROZEN_THROUGH = "mixed8"
AUGMENTATION = {
    "rotation_degrees": 30,
    "shift": 0.2,               # of the side
    "shear": 0.2,               # Keras reads it in degrees, so that next to nothing is sheared
    "zoom": 0.2,
    "horizontal_flip": True,
}


def read_arguments(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("images", type=Path, help="a folder with train/CLASS/*.jpg and val/CLASS/*.jpg")
    parser.add_argument("weights", type=Path, help="InceptionV3 without its top, Keras HDF5")
    parser.add_argument("--epochs", type=int, default=2, help="of each of the two stages")
    parser.add_argument("--answers", type=Path, required=True, help="JSON to write: val image -> predicted class")
    return parser.parse_args()


class EpochLines(keras.callbacks.Callback):
    """A line at the end of each epoch, in the words of Graft's stages."""

    def on_epoch_end(self, epoch, logs=None):
        print(f"epoch {epoch + 1}: loss {logs['loss']:.4f}, accuracy {logs['accuracy']:.4f}, val loss "
              f"{logs['val_loss']:.4f}, val accuracy {logs['val_accuracy']:.4f}", flush=True)


def fit(model: keras.Model, train, val, epochs: int) -> None:
    model.fit(train, validation_data=val, epochs=epochs, verbose=0, callbacks=[EpochLines()])


def layers_through(network: keras.Model, name: str) -> int:
    """How many layers there are up to and with the one of this name: 249 for InceptionV3's mixed8."""
    return 1 + [layer.name for layer in network.layers].index(name)


def write_answers(path: Path, files: list[str], class_names: list[str], probabilities) -> None:
    """Args: files: CLASS/NAME of each val image; probabilities: float `(images, classes)`."""
    answers = {file: class_names[row.argmax()] for file, row in zip(files, probabilities)}
    path.write_text(json.dumps(answers))
