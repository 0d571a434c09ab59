"""Accuracy of keeping K views of each training image, beside drawing new ones in each epoch.

    python -m benchmarks.views [--views 4] [--epochs 10] [--seeds 3] [--images 500]

Live augmentation has as many views as epochs, so no epoch of a stage repeats one; the K kept views are the first of
them. Target: at least -0.5 points. Options and photographs: see `benchmarks.pairs`.
"""

from benchmarks import pairs
from benchmarks.command import begin
from graft.errors import reported


def main() -> None:
    options = begin(__doc__, views=4, **pairs.OPTIONS)
    pairs.compare((f"K = {options.views}", {"extract.views": options.views}),
                  ("live", {"extract.views": options.epochs}), options)


if __name__ == "__main__":
    with reported():
        main()
