"""The most memory that `extract`, `transfer` and `finetune` hold on a large set of images.

    python -m benchmarks.memory [--images 25000] [--views 4] [--cut block_3_expand_relu]

Small images made by formula, and the network of params.yaml, MobileNetV2 0.35 at 96, so that it is done in minutes. It
is cut early: activations of 55 KB make a cache larger than the 4 GB that a stage may hold, so that one which reads it
whole is found out. Pages of the cache that are mapped count as resident as long as nobody else wants the memory; the
process's own memory is what the machine must have.
"""

import argparse
import io
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from benchmarks import machine, stages

CLASSES = 10
SIDE_PX = 64


def write_images(folder: Path, images: int) -> None:
    """Different each, and no noise: 4 × 4 random colours around the one of their class, enlarged."""
    random = np.random.default_rng(1)
    colours = random.uniform(60, 190, (CLASSES, 1, 1, 3))
    turns = ("train",) * 7 + ("val",) + ("test",) * 2
    for number in range(images):
        coarse = colours[number % CLASSES] + random.uniform(-60, 60, (4, 4, 3))
        image = Image.fromarray(coarse.astype(np.uint8)).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
        path = folder / turns[number // CLASSES % len(turns)] / str(number % CLASSES) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=90)
        path.write_bytes(buffer.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=25_000)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--cut", default="block_3_expand_relu")
    arguments = parser.parse_args()
    print(machine.facts(), flush=True)
    changes = {"extract.views": arguments.views, "extract.backbone.cut": arguments.cut, "transfer.epochs": 2,
               "finetune.epochs": 1}
    with TemporaryDirectory() as name:
        images = Path(name, "images")
        write_images(images, arguments.images)
        print(f"{arguments.images} images are written", flush=True)
        project = stages.new_project(Path(name, "project"), images, **changes)
        timelines = {stage: stages.run_stage(project, stage) for stage in stages.STAGES}
        cache = sum(file.stat().st_size for file in (project.folder / ".graft/activations").rglob("*.npy"))
    print(f"\n{arguments.images} images, {arguments.views} views of each in train, cache {cache / 1e9:.2f} GB\n\n"
          "| stage | s | own memory at most, GB | resident at most, GB (with mapped files; less than 4 wanted) |\n"
          "|---|---:|---:|---:|")
    for stage, each in timelines.items():
        print(f"| {stage} | {each.seconds:.0f} | {each.peak_own_bytes / 1e9:.2f} | {each.peak_bytes / 1e9:.2f} |")


if __name__ == "__main__":
    main()
