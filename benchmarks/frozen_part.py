"""What is measured inside one process, in a project's folder after its stages: prints one JSON object.

    python -m benchmarks.frozen_part

- how many views a second `extract` puts on disk, decoding and augmentation included, beside a bare forward pass of the
  frozen part in the same precision over arrays that lie ready in memory, before and after it, all warm: once as Keras
  builds it, once as extract runs it;
- how many of the top's BatchNormalization statistics and of its other weights finetune has changed.
"""

import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

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
        rates = compare_rates(dataset)
    print(json.dumps({**rates, **compare_weights(dataset)}))


def compare_rates(dataset) -> dict:
    """Images a second: the frozen part as Keras builds it, extract's own network, and extract itself."""
    train = dataset.splits["train"]
    views = train.all_views()
    with backend.precision(dataset.part.precision):
        frozen, _ = backbones.split(dataset.part.network(dataset.weights), dataset.part.cut)
    networks = {"keras": frozen, "own": train.activations._network()}
    batches = np.random.default_rng(1).integers(0, 256, (4, BATCH_SIZE, *dataset.part.image_size, 3), np.uint8)
    train.activations.batch(views[:BATCH_SIZE])                 # computed and not kept: it warms extract's network up
    frozen.predict_on_batch(batches[0])
    before = {name: forward(network, batches) for name, network in networks.items()}
    extract = len(views) / _seconds(lambda: train.activations.fill(views))
    after = {name: forward(network, batches) for name, network in networks.items()}
    bare = {name: (before[name] + after[name]) / 2 for name in networks}
    return {"precision": dataset.part.precision, "extracted_views": len(views), "extract_a_second": extract,
            "bare_a_second": bare["keras"], "own_a_second": bare["own"]}


def forward(network, batches: np.ndarray, images: int = 512) -> float:
    """Images a second, over arrays that lie ready in memory."""
    steps = images // BATCH_SIZE
    return images / _seconds(lambda: [network.predict_on_batch(batches[step % len(batches)]) for step in range(steps)])


def compare_weights(dataset) -> dict:
    """Of the top's weights before and after finetune: how many arrays there are, and how many differ in a bit."""
    _, top = dataset.models()
    before = {each.path: np.array(each) for each in top.weights}
    top.load_weights(artifacts.FINETUNE_TOP)
    differs = {each.path: before[each.path].tobytes() != np.array(each).tobytes() for each in top.weights}
    statistics_of = {path: changed for path, changed in differs.items() if "/moving_" in path}
    others = {path: changed for path, changed in differs.items() if path not in statistics_of}
    return {"statistics": len(statistics_of), "statistics_changed": sum(statistics_of.values()),
            "others": len(others), "others_changed": sum(others.values()),
            "kept": artifacts.read_json(artifacts.FINETUNE_SUMMARY)["kept"]}


def _seconds(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
