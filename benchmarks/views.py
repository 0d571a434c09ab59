"""What it costs in accuracy to keep K views of each training image instead of drawing a new one in every epoch.

    python -m benchmarks.views [--views 4] [--epochs 10] [--seeds 3] [--images 500]

Live augmentation is as many views as epochs, so that no epoch of a stage sees a view again; its first K views are those
that are kept. Wanted: at least -0.5 points. The photographs and the rest: `benchmarks.pairs`.
"""

from benchmarks import pairs


def main() -> None:
    parser = pairs.arguments(__doc__)
    parser.add_argument("--views", type=int, default=4)
    options = parser.parse_args()
    pairs.compare((f"K = {options.views}", {"extract.views": options.views}),
                  ("live", {"extract.views": options.epochs}), options)


if __name__ == "__main__":
    main()
