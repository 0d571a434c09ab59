"""What it costs in accuracy to train in bfloat16 where that is faster, as `extract.precision: auto` does.

    python -m benchmarks.precision [--epochs 10] [--seeds 3] [--images 500]

The photographs and the rest: `benchmarks.pairs`.
"""

from benchmarks import pairs


def main() -> None:
    options = pairs.arguments(__doc__).parse_args()
    pairs.compare(*((name, {"extract.precision": name}) for name in ("mixed_bfloat16", "float32")), options)


if __name__ == "__main__":
    main()
