"""Peak memory of `extract`, `transfer` and `finetune` on a large set of images.

    python -m benchmarks.memory [--images 25000] [--views 4] [--cut block_3_expand_relu]

The images are small and made by formula, and the network is that of params.yaml (MobileNetV2 0.35 at 96 pixels), so a
run takes minutes. The cut is early: activations of 55 KB make a cache larger than 4 GB, the most that a stage may hold,
which exposes a stage that reads the whole cache into memory. Mapped pages of the cache count as resident until another
process needs the memory; own memory is what the machine must have.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from benchmarks import stages
from benchmarks.command import begin
from benchmarks.markdown import print_head, print_row
from graft.errors import reported

CLASSES = 10
SIDE_PX = 64


def write_images(folder: Path, images: int) -> None:
    """Write distinct images without noise: 4 × 4 random colours around the colour of their class, enlarged."""
    random = np.random.default_rng(1)
    colours = random.uniform(60, 190, (CLASSES, 1, 1, 3))
    turns = ("train",) * 7 + ("val",) + ("test",) * 2
    for number in range(images):
        coarse = colours[number % CLASSES] + random.uniform(-60, 60, (4, 4, 3))
        image = Image.fromarray(coarse.astype(np.uint8)).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
        path = folder / turns[number // CLASSES % len(turns)] / str(number % CLASSES) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, quality=90)


def main() -> None:
    options = begin(__doc__, images=25_000, views=4, cut="block_3_expand_relu")
    changes = {"extract.views": options.views, "extract.backbone.cut": options.cut, "transfer.epochs": 2,
               "finetune.epochs": 1}
    with TemporaryDirectory() as name:
        images = Path(name, "images")
        write_images(images, options.images)
        project = stages.new_project(Path(name, "project"), images, **changes)
        timelines = {stage: stages.run_stage(project, stage) for stage in stages.STAGES}
        cache = sum(file.stat().st_size for file in (project.folder / ".graft/activations").rglob("*.npy"))
    print(f"\n{options.images} images, {options.views} views of each in train, cache {cache / 1e9:.2f} GB\n")
    print_head("stage", "s", "peak own memory, GB", "peak resident memory with mapped files, GB (target: below 4)")
    for stage, each in timelines.items():
        print_row(stage, f"{each.seconds:.0f}", f"{each.peak_own_bytes / 1e9:.2f}", f"{each.peak_bytes / 1e9:.2f}")


if __name__ == "__main__":
    with reported():
        main()
