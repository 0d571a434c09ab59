"""The command `graft`: an `_add_X` declares each subcommand, an `_X` does it. Heavy imports stand inside the latter."""

import argparse
import sys

from graft.cli import registry
from graft.cli.registry import MODEL, REGISTRY
from graft.errors import GraftError, reported


def main(argv: list[str] | None = None) -> None:
    """Run one subcommand; a user's mistake ends in one message and exit code 2."""
    arguments = _parser().parse_args(argv)
    with reported():
        sys.exit(arguments.run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="graft", description="Use and publish image classifiers.")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (_add_predict, _add_serve, registry.add_commands, _add_compare):
        add(subparsers)
    return parser


def _add_predict(subparsers) -> None:
    parser = subparsers.add_parser("predict", help="say what is on images", description=(
        "Say what is on images. Exit codes: 0 all read, 1 some could not be read (each has its reason), 2 a mistake."))
    parser.add_argument("sources", nargs="*", metavar="SOURCE",
                        help="a file, a folder (with all below it), a glob, a URL, or - for an image on standard input")
    parser.add_argument("--files-from", metavar="FILE", help="more sources, one a line; - is a list on standard input")
    parser.add_argument("--model", required=True, help=f"a model's folder, or {MODEL}")
    parser.add_argument("--registry", help=REGISTRY)
    parser.add_argument("--offline", action="store_true", help="take the model that was pulled before")
    _add_format(parser)
    parser.add_argument("--top", type=_top, default=5, metavar="N", help="classes to tell, or 'all' (default: 5)")
    style = parser.add_mutually_exclusive_group()
    style.add_argument("--json", dest="style", action="store_const", const="json", help="print a JSON object a line")
    style.add_argument("--csv", dest="style", action="store_const", const="csv", help="print CSV, with every class")
    parser.add_argument("--plot", metavar="PNG", help="draw each picture beside a bar chart of its top classes")
    parser.add_argument("--allow-private-urls", action="store_true", help="fetch from private addresses too")
    parser.set_defaults(run=_predict, style="text")


def _add_format(parser) -> None:
    from graft.model.bundle import FORMATS

    parser.add_argument("--format", choices=FORMATS, default="onnx",
                        help="another format that the model was published in (default: onnx)")


def _top(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, or 'all', received '{text}'")
    return int(text)


def _predict(arguments) -> int:
    from graft.cli.predict import main

    return main(arguments)


def _add_serve(subparsers) -> None:
    parser = subparsers.add_parser("serve", help="answer over HTTP, with a web page (needs the extra `serve`)")
    parser.add_argument("model", help=f"a model's folder, or {MODEL}")
    parser.add_argument("--registry", help=REGISTRY)
    _add_format(parser)
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 listens everywhere (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--poll", type=_seconds, default=30, metavar="SECONDS",
                        help="how often to look for another version (default: %(default)s)")
    parser.set_defaults(run=_serve)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, received '{text}'")
    return seconds


def _serve(arguments) -> None:
    try:
        from graft.server.app import serve
    except ModuleNotFoundError as error:
        raise GraftError(f"`graft serve` needs the package '{error.name}': pip install 'graft[serve]'") from error
    serve(arguments.model, arguments.registry, arguments.host, arguments.port, arguments.poll,
          arguments.format)


def _add_compare(subparsers) -> None:
    parser = subparsers.add_parser("compare", help="show two versions side by side: classes, data, parameters, metrics")
    parser.add_argument("left", help=MODEL)
    parser.add_argument("right", help="another one; @NUMBER or @ALIAS alone means the same model")
    parser.add_argument("--registry", help=REGISTRY)
    parser.set_defaults(run=_compare)


def _compare(arguments) -> None:
    from graft.registry.compare import compare, read_manifest

    name = arguments.left.partition("@")[0]
    right = name + arguments.right if arguments.right.startswith("@") else arguments.right
    print(compare(*(read_manifest(model, arguments.registry) for model in (arguments.left, right))))


if __name__ == "__main__":
    main()
