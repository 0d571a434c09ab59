"""`graft predict` beside the bare runtime.

    python -m benchmarks.predict --model BUNDLE --images FOLDER [--rounds 5] [--no-keras]

1. Seconds from process start to the answer for one image: `graft predict`, and Keras with the same architecture, which
   needs the pipeline's environment (`--no-keras` leaves it out). Fastest and median run.
2. Images a second over the folder: the runtime alone on decoded images; the runtime with decoding on all cores, written
   by hand; and `graft.predict.rows.rows`. Fastest and median round.

All sides take turns.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime

from benchmarks.command import begin
from graft.errors import reported
from graft.images import UnreadableImage, read_image
from graft.machine.cores import cpu_count
from graft.model import bundle
from graft.model.classifier import BATCH_SIZE, Classifier
from graft.predict.rows import rows
from graft.predict.sources import files_below

KERAS_SAVE = """
import sys, keras
name, size, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
network = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=2)
network.save(path)
"""
KERAS_PREDICT = """
import sys
import keras, numpy as np
network = keras.saving.load_model(sys.argv[1], compile=False)
size = network.input_shape[1:3]
image = keras.utils.img_to_array(keras.utils.load_img(sys.argv[2], target_size=size))
print(network.predict(image[None] / 127.5 - 1, verbose=0)[0])
"""


def main() -> None:
    options = begin(__doc__, model=Path, images=str, rounds=5, keras=True)
    paths = files_below(options.images).images
    print(f"{len(paths)} images")
    compare_start(options.model, paths[0], options.rounds, options.keras)
    compare_throughput(options.model, paths, options.rounds)


def compare_start(model: Path, image: str, rounds: int, with_keras: bool) -> None:
    commands = {"graft predict": [sys.executable, "-m", "graft.cli", "predict", image, "--model", model]}
    with tempfile.TemporaryDirectory() as folder:
        if with_keras:
            saved, description = Path(folder, "network.keras"), bundle.read_description(model)
            size = str(description.image_size[0])
            subprocess.run([sys.executable, "-c", KERAS_SAVE, description.backbone["name"], size, saved], check=True,
                           stderr=subprocess.DEVNULL)
            commands["Keras"] = [sys.executable, "-c", KERAS_PREDICT, saved, image]
        took = in_turn({name: lambda command=command: run(command) for name, command in commands.items()}, rounds)
    seconds = {name: [each.seconds for each in those] for name, those in took.items()}
    for name, each in seconds.items():
        print(f"start to answer, {name:14} {min(each):6.2f} s fastest, {statistics.median(each):6.2f} s median")
    if with_keras:
        ratio = statistics.median(seconds["graft predict"]) / statistics.median(seconds["Keras"])
        print(f"start to answer, graft / Keras  {ratio:.2f} of the medians (target: at most 0.20)")


def run(command: list) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def compare_throughput(model: Path, paths: list[str], rounds: int) -> None:
    classifier = Classifier(model)
    session = bare_session(model)
    paths = [path for path in paths if is_readable(path, classifier.image_size)]
    decoded = np.stack([read_image(path, classifier.image_size) for path in paths[:512]])
    ways = {
        "runtime alone": lambda: [session.run(None, {"images": decoded[start:start + BATCH_SIZE]})
                                  for start in range(0, len(decoded), BATCH_SIZE)],
        "runtime + decoding": lambda: by_hand(session, paths, classifier.image_size),
        "graft": lambda: list(rows(classifier, paths)),
    }
    took = in_turn(ways, rounds)
    for name, each in took.items():
        images = len(decoded) if name == "runtime alone" else len(paths)
        median, processor = (statistics.median(column) for column in zip(*each))
        print(f"images a second, {name:19} {images / min(each).seconds:6.1f} fastest, {images / median:6.1f} median; "
              f"processor time an image {1000 * processor / images:5.2f} ms")
    hand, graft = (list(zip(*took[name])) for name in ("runtime + decoding", "graft"))
    print(f"images a second, graft / (runtime + decoding)  {min(hand[0]) / min(graft[0]):.2f} of the fastest, "
          f"{statistics.median(hand[0]) / statistics.median(graft[0]):.2f} of the medians, "
          f"{statistics.median(hand[1]) / statistics.median(graft[1]):.2f} by processor time (target: at least 0.90)")


def bare_session(model: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")    # the faster setting, and graft's own
    return onnxruntime.InferenceSession(str(model / bundle.MODEL), options, providers=["CPUExecutionProvider"])


def by_hand(session, paths: list[str], image_size: tuple[int, int]) -> None:
    """Threads decode all images from the start, while the runtime works through the batches."""
    with ThreadPoolExecutor(cpu_count()) as pool:
        images = pool.map(lambda path: read_image(path, image_size), paths)
        for start in range(0, len(paths), BATCH_SIZE):
            batch = [next(images) for _ in paths[start:start + BATCH_SIZE]]
            session.run(None, {"images": np.stack(batch)})


def is_readable(path: str, image_size: tuple[int, int]) -> bool:
    try:
        read_image(path, image_size)
    except UnreadableImage:
        return False
    return True


class Took(NamedTuple):
    seconds: float
    processor_s: float      # of this process, summed over all cores: other work on the machine does not count


def in_turn(ways: dict[str, Callable], rounds: int) -> dict[str, list[Took]]:
    """Time each way in turn after one warm-up, so that other work on the machine slows all of them alike."""
    took = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            began, processor = time.perf_counter(), time.process_time()
            way()
            if number:
                took[name].append(Took(time.perf_counter() - began, time.process_time() - processor))
    return took


if __name__ == "__main__":
    with reported():
        main()
