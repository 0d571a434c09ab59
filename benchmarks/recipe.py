"""What the classic and the careful recipe share: constants, progress lines and the answers' file."""

import json
from collections.abc import Callable
from pathlib import Path

import keras

BATCH_SIZE = 32
IMAGE_SIZE = (299, 299)
HIDDEN_UNITS = 1024
FROZEN_THROUGH = "mixed8"


class EpochLines(keras.callbacks.Callback):
    """Prints a line at the end of each epoch, in the format of Graft's stages."""

    def on_epoch_end(self, epoch, logs=None):
        print(f"epoch {epoch + 1}: loss {logs['loss']:.4f}, accuracy {logs['accuracy']:.4f}, val loss "
              f"{logs['val_loss']:.4f}, val accuracy {logs['val_accuracy']:.4f}", flush=True)


def fit(model: keras.Model, train, val, epochs: int, **prepare: Callable[[], None]) -> None:
    """Run the stages in order. `prepare` has the function that freezes and compiles the model for each."""
    for stage, ready in prepare.items():
        print(f"stage {stage}", flush=True)
        ready()
        model.fit(train, validation_data=val, epochs=epochs, verbose=0, callbacks=[EpochLines()])
    print("stage scoring", flush=True)


def frozen_layers(network: keras.Model) -> int:
    """Number of layers through FROZEN_THROUGH: 249 in InceptionV3."""
    return 1 + [layer.name for layer in network.layers].index(FROZEN_THROUGH)


def write_answers(path: Path, files: list[str], class_names: list[str], probabilities) -> None:
    """Write CLASS/NAME of each test image -> predicted class as JSON; `probabilities` is float `(images, classes)`."""
    answers = {file: class_names[row.argmax()] for file, row in zip(files, probabilities)}
    path.write_text(json.dumps(answers))
