"""Views a second that `extract` writes, beside a bare forward pass of the frozen part. Prints one JSON object.

    python -m benchmarks.frozen_part

Run it in the folder of a project whose stages have run. Extract's figure includes decoding and augmentation. The bare
pass, once of the network as Keras builds it and once of the one that extract runs, has the same precision and reads
arrays in memory. Both passes run before and after extract, all after a warm-up.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.timeline import seconds_of
from graft.errors import reported
from pipeline.training import backbones, backend, examples
from pipeline.training.activations import BATCH_SIZE
from tasks import artifacts
from tasks.params import DataParams, read_params


def main() -> None:
    backend.make_deterministic(1)
    images = Path(read_params("data", DataParams).images)
    with TemporaryDirectory(dir=artifacts.CACHE) as empty:
        extracted = {**artifacts.read_extracted(), "cache": Path(empty)}
        dataset = examples.open_dataset(**extracted, images=images)
        print(json.dumps(compare_rates(dataset)))


def compare_rates(dataset) -> dict:
    """Images a second of the frozen part as Keras builds it, of extract's own network, and of extract itself."""
    train = dataset.splits["train"]
    views = train.all_views()
    with backend.precision(dataset.part.precision):
        frozen, _ = backbones.split(dataset.part.network(dataset.weights), dataset.part.cut)
    networks = {"keras": frozen, "own": train.activations._network()}
    batches = np.random.default_rng(1).integers(0, 256, (4, BATCH_SIZE, *dataset.part.image_size, 3), np.uint8)
    train.activations.batch(views[:BATCH_SIZE])                 # warm-up: computed and not kept
    frozen.predict_on_batch(batches[0])
    before = {name: forward(network, batches) for name, network in networks.items()}
    extract = len(views) / seconds_of(lambda: train.activations.fill(views))
    after = {name: forward(network, batches) for name, network in networks.items()}
    bare = {name: (before[name] + after[name]) / 2 for name in networks}
    return {"precision": dataset.part.precision, "extracted_views": len(views), "extract_a_second": extract,
            "bare_a_second": bare["keras"], "own_a_second": bare["own"]}


def forward(network, batches: np.ndarray, images: int = 512) -> float:
    """Images a second over arrays in memory."""
    steps = images // BATCH_SIZE
    return images / seconds_of(
        lambda: [network.predict_on_batch(batches[step % len(batches)]) for step in range(steps)])


if __name__ == "__main__":
    with reported():
        main()
