"""What is measured inside one process, in a project's folder after its stages: prints one JSON object.

    python -m benchmarks.frozen_part [--rounds 3]

- how many views a second `extract` puts on disk, decoding and augmentation included, beside a bare forward pass of the
  frozen part in the same precision over arrays that lie ready in memory: in turn, both warm;
- how many of the top's BatchNormalization statistics and of its other weights finetune has changed.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from graft.training import backbones, examples, runtime
from graft.training.activations import BATCH_SIZE
from tasks import artifacts
from tasks.params import DataParams, read_params


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    runtime.make_deterministic(1)
    images = Path(read_params("data", DataParams).images)
    with TemporaryDirectory(dir=artifacts.CACHE) as empty:
        extracted = {**artifacts.read_extracted(), "cache": Path(empty)}
        dataset = examples.open_dataset(**extracted, images=images)
        rates = compare_rates(dataset, parser.parse_args().rounds)
    print(json.dumps({**rates, **compare_weights(dataset)}))


def compare_rates(dataset, rounds: int) -> dict:
    """Images a second of both, the median of the rounds, and the median of their ratios."""
    train = dataset.splits["train"]
    views = train.all_views()
    per_round = max(1, len(views) // rounds // BATCH_SIZE) * BATCH_SIZE
    with runtime.precision(dataset.part.precision):
        frozen, _ = backbones.split(dataset.part.network(dataset.weights), dataset.part.cut)
    batches = np.random.default_rng(1).integers(0, 256, (4, BATCH_SIZE, *dataset.part.image_size, 3), np.uint8)
    frozen.predict_on_batch(batches[0])
    train.activations.batch(views[:BATCH_SIZE])                 # computed and not kept: it warms the network up
    bare, extract = [], []
    for number in range(rounds):
        some = views[number * per_round : (number + 1) * per_round]
        steps = -(-len(some) // BATCH_SIZE)
        bare.append(steps * BATCH_SIZE / _seconds(lambda steps=steps: _forward(frozen, batches, steps)))
        extract.append(len(some) / _seconds(lambda some=some: train.activations.fill(some)))
    return {
        "precision": dataset.part.precision, "rounds": rounds, "views_a_round": per_round,
        "bare_a_second": statistics.median(bare), "extract_a_second": statistics.median(extract),
        "ratio": statistics.median(ours / theirs for ours, theirs in zip(extract, bare)),
        "ratios": [ours / theirs for ours, theirs in zip(extract, bare)],
    }


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


def _forward(frozen, batches: np.ndarray, steps: int) -> None:
    for step in range(steps):
        frozen.predict_on_batch(batches[step % len(batches)])


def _seconds(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
