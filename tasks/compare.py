"""Compare the images of two runs: `python -m tasks.compare pets@champion outputs/validate`."""

import argparse
import json

from graft.errors import printable, reported


def main() -> None:
    """Print which images are new, gone or relabelled."""
    from pipeline.intake.comparison import as_text, compare, read_images

    parser = argparse.ArgumentParser("python -m tasks.compare", description="Compare the images of two runs.")
    parser.add_argument("old", help="NAME@VERSION of a published model, an images.csv, or a folder that contains one")
    parser.add_argument("new", help="the same for the other run, such as outputs/validate")
    parser.add_argument("--json", action="store_true", help="print the whole comparison as JSON")
    arguments = parser.parse_args()
    comparison = compare(read_images(arguments.old), read_images(arguments.new))
    print(json.dumps(comparison, indent=2, ensure_ascii=False) if arguments.json else as_text(comparison, printable))

if __name__ == "__main__":
    with reported():
        main()
