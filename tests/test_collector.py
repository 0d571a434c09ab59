"""Whatever reads ahead is left by an error that is kept in a cycle, while its threads need the thread that collects it.

Each program runs in a fresh interpreter; one that waits for its own threads is ended by its time limit, and fails.
"""

from pathlib import Path

import fresh
import pytest
from tiny_bundle import make_bundle, make_images

DOWNLOAD = fresh.ABANDONED + """
import sys
from pathlib import Path
from graft.registry import transfer
from graft.registry.manifest import File
from graft.store import LocalStore

class Held(LocalStore):
    def read(self, key, start, length):
        if start:
            gate.wait()
        return b"too short"

transfer.PART_BYTES = 100
folder = Path(sys.argv[1])
abandoned(lambda: transfer.download(Held(folder), [File("0" * 64, 5000)], folder / "incoming"))
print("ended")
"""

PREDICT = fresh.ABANDONED + """
import sys
from graft.model.classifier import Classifier

def held(path):
    return classifier.read(path) if path == paths[0] else gate.wait() and classifier.read(path)

def leave():
    answers = classifier.predict_many(paths[:1] * 32 + paths, held)
    assert next(answers).label
    raise ValueError("an error whose traceback knows `answers`")

classifier, paths = Classifier(sys.argv[1]), sys.argv[2:]
abandoned(leave)
print("ended")
"""

# the error is kept, and no collector runs: the block alone must have ended the threads
FULL_DISK = fresh.ABANDONED + """
import sys
from graft.cli import main, predict

gc.disable()
stdout, sys.stdout = sys.stdout, open("/dev/full", "w")       # Linux's: every write fails
before, model, images = workers(), sys.argv[1], sys.argv[2:]
try:
    main.main(["predict", *images, "--model", model])
except SystemExit as error:
    kept = error
gone(before)
sys.stdout = stdout
print("ended", kept.code)
"""

TRAINING = fresh.ABANDONED + """
import sys
from pathlib import Path
import keras
import numpy as np
from pipeline.training import activations, backbones, examples, fitting, heads, learning_rate

class Held(examples.Vectors):
    begun = 0

    def batch(self, indices, epoch):
        Held.begun += 1
        if Held.begun > 1:
            gate.wait()
        return super().batch(indices, epoch)

def again(action):
    gate.clear()
    Held.begun = 0
    abandoned(action)
    print("ended", flush=True)

folder = Path(sys.argv[1])
head = heads.build_head(8, 2, hidden_units=8, dropout=0)
fitting.prepare(head, "sgd", 0.9, 0.0)
no_such_class = Held(np.zeros((64, 1, 8), np.float32), np.full(64, 9))
weights, checkpoint = np.ones(64, np.float32), folder / "checkpoint.npz"
fit = fitting._Fit(head, no_such_class, no_such_class, weights, lambda step: 0.1, 8, 1, None, checkpoint)
again(lambda: fit._epoch(threading.Event()))
again(lambda: learning_rate.sweep(head, no_such_class, batch_size=8, seed=1))

network = backbones.build("MobileNetV2", (32, 32), 0.35)
network.save_weights(folder / "backbone.weights.h5")
part = activations.FrozenPart("MobileNetV2", 0.35, (32, 32), "none", "0" * 64, "block_2_add", "float32", {}, 1)
cached = activations.Activations(part, folder / "backbone.weights.h5", folder, folder / "cache", 1.0)
views = [activations.View(f"{number}.png", f"{number:064}") for number in range(100)]
read = activations.Activations.images_of
activations.Activations.images_of = lambda self, group: (
    read(self, group) if group[0].path == "0.png" else gate.wait() and [np.zeros((32, 32, 3), np.uint8)])
again(lambda: cached.fill(views))           # 0.png is missing
again(lambda: cached.batch(views))

class Source:
    def batch(self, views):
        return Held(np.zeros((64, 1, 3), np.float32), np.zeros(64)).batch(np.arange(32), 0)     # no image for the top

several = examples.Examples(Source(), ["x"] * 96, ["0"] * 96, np.zeros(96, int), 1)
again(lambda: examples.vectors(network, several))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> list[Path]:
    return sorted(make_images(tmp_path_factory.mktemp("images"), images=30).glob("*/*.png"))


def test_a_pull_that_fails(tmp_path):
    assert fresh.run(DOWNLOAD, tmp_path) == "ended\n"


def test_predictions_that_nobody_takes(model, images):
    assert fresh.run(PREDICT, model, *images) == "ended\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_command_whose_output_cannot_be_written(model, images):
    assert fresh.run(FULL_DISK, model, *images) == "ended 2\n"


def test_training_and_activations_that_fail(tmp_path):
    printed = fresh.run(TRAINING, tmp_path, TF_CPP_MIN_LOG_LEVEL="3")
    assert printed.splitlines().count("ended") == 5
