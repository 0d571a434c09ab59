"""How the stages up to the first model grow with the number of images: processor time and memory.

    python -m benchmarks.scale [--most 20000]

The images are small and made by formula, as in `benchmarks.memory`; the network is that of params.yaml with one view.
The set grows tenfold from 2,000 images. Seconds are those of processor time, all cores together.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import stages
from benchmarks.command import begin
from benchmarks.markdown import print_head, print_row
from benchmarks.memory import write_images
from benchmarks.scratch import Project
from graft.errors import reported

CHANGES = {"extract.views": 1, "validate.split_folders": True, "validate.near_copies": "different"}


def main() -> None:
    options = begin(__doc__, most=20_000)
    print_head("stage", "images", "processor time, s", "for 1,000 images, s", "peak own memory, MB")
    images = 2_000
    while images <= options.most:
        with TemporaryDirectory() as folder:
            write_images(Path(folder, "images"), images)
            project = Project(Path(folder, "project"), **{"data.images": str(Path(folder, "images")), **CHANGES})
            for stage in ("validate", "split", "extract", "transfer"):
                each = stages.run_stage(project, stage)
                print_row(stage, images, f"{each.processor_s:.1f}", f"{1000 * each.processor_s / images:.2f}",
                          f"{each.peak_own_bytes / 1e6:.0f}")
        images *= 10


if __name__ == "__main__":
    with reported():
        main()
