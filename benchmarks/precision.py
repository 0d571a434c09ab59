"""Accuracy of training in bfloat16, which `extract.precision: auto` picks where it is faster, beside float32.

    python -m benchmarks.precision [--epochs 10] [--seeds 3] [--images 500]

Options and photographs: see `benchmarks.pairs`.
"""

from benchmarks import pairs
from benchmarks.command import begin
from graft.errors import reported


def main() -> None:
    options = begin(__doc__, **pairs.OPTIONS)
    pairs.compare(*((name, {"extract.precision": name}) for name in ("mixed_bfloat16", "float32")), options)


if __name__ == "__main__":
    with reported():
        main()
