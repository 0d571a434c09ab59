"""Views a second that `extract` writes with each engine, beside bare passes of the frozen part. Prints one JSON object.

    python -m benchmarks.frozen_part

Run it in the folder of a project whose stages have run. Extract's figures include decoding and augmentation. The bare
passes read arrays in memory: of the network as Keras builds it, of the one that extract runs in Keras, and of OpenVINO,
all in the same precision. They run before and after extract, all after a warm-up. `ms` is processor time a view.
"""

import json
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from graft.errors import reported
from pipeline import hardware
from pipeline.training import backbones, backend, examples
from pipeline.training.activations import BATCH_SIZE, Activations
from pipeline.training.engines import InKeras
from tasks import artifacts
from tasks.data import DataParams
from tasks.params import read_params


def main() -> None:
    backend.make_deterministic(1)
    images = Path(read_params("data", DataParams).images)
    with TemporaryDirectory(dir=artifacts.CACHE) as empty:
        extracted = {**artifacts.read_extracted(), "cache": Path(empty)}
        print(json.dumps(compare_rates(examples.open_dataset(**extracted, images=images))))


def compare_rates(dataset) -> dict:
    """Views a second of the frozen part as Keras builds it, of each engine, and of extract with each engine."""
    part, views = dataset.part, dataset.splits["train"].all_views()
    names = ["keras", *["openvino"] * (hardware.has_openvino() and part.precision != "mixed_float16")]
    activations = {name: _with_engine(dataset.splits["train"].activations, name) for name in names}
    with backend.precision(part.precision):
        as_built = InKeras(backbones.split(part.network(dataset.weights), part.cut)[0])
    engines = {"as_built": as_built} | {name: activations[name]._engine() for name in names}
    arrays = np.random.default_rng(1).integers(0, 256, (4, BATCH_SIZE, *part.image_size, 3), np.uint8)
    for name in names:
        activations[name].batch(views[:BATCH_SIZE])             # warm-up: computed and not kept
    before = {name: bare(engine, arrays) for name, engine in engines.items()}
    extract = {name: rate(lambda name=name: activations[name].fill(views), len(views)) for name in names}
    after = {name: bare(engine, arrays) for name, engine in engines.items()}
    passes = {name: {key: (before[name][key] + after[name][key]) / 2 for key in before[name]} for name in engines}
    return {"precision": part.precision, "engine": part.engine, "extracted_views": len(views), "bare": passes,
            "extract": extract, "extract_a_second": extract[part.engine]["a_second"],
            "own_a_second": max(passes[name]["a_second"] for name in names),
            "bare_a_second": passes["as_built"]["a_second"]}


def _with_engine(activations: Activations, engine: str) -> Activations:
    return Activations(replace(activations.part, engine=engine), activations.weights, activations.images,
                       activations.cache, activations.cache_gigabytes)


def bare(engine, arrays: np.ndarray, images: int = 512) -> dict[str, float]:
    """`rate` over arrays in memory."""
    steps = images // BATCH_SIZE
    for _ in engine.run(arrays[[0, 1]]):
        pass
    return rate(lambda: list(engine.run(arrays[step % len(arrays)] for step in range(steps))), images)


def rate(work, images: int) -> dict[str, float]:
    """Images a second of a call, and the processor time of each in milliseconds."""
    began_s, processor_s = time.perf_counter(), time.process_time()
    work()
    return {"a_second": images / (time.perf_counter() - began_s),
            "ms": 1000 * (time.process_time() - processor_s) / images}


if __name__ == "__main__":
    with reported():
        main()
