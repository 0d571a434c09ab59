"""The command `graft`: `_add_X` declares a subcommand, `_X` runs it and imports what it needs, to start fast."""

import argparse
import contextlib
import os
import signal
import sys

from graft.cli import completion, page, reading, registry, select, watch
from graft.cli.arguments import MODEL_OR_FOLDER, Subparsers, add_command, add_format, add_registry, whole_number
from graft.errors import GraftError, reported

INTERRUPTED = 128 + signal.SIGINT       # the exit code after Ctrl-C
EXIT_CODES = ("Exit codes: 0 if all is well; 1 if `predict` or `select` could not read an image, `verify` found damage "
              "or `watch` a drift; 2, with one message, for what you can correct; 130 after Ctrl-C.")


def main(argv: list[str] | None = None) -> None:
    """Run a subcommand and exit with its code. A user's mistake ends in one message and exit code 2."""
    try:
        with reported():
            arguments = make_parser().parse_args(argv)
            code = arguments.run(arguments)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
            os._exit(INTERRUPTED)       # or it would end when its threads do, one of which may wait for a server
        raise
    sys.exit(code)


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(prog="graft", description="Use and publish image classifiers.",
                                     epilog="`graft COMMAND --help` describes a command. " + EXIT_CODES)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version of this program")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (_add_predict, select.add_commands, _add_serve, page.add_commands, registry.add_commands,
                reading.add_commands, watch.add_commands):
        add(subparsers)
    completion.add_commands(subparsers, parser)
    return parser


class _Version(argparse.Action):
    """Print the installed package's version; unlike argparse's own action, look for it only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"graft {version('graft')}")
        parser.exit()


def _add_predict(subparsers: Subparsers) -> None:
    parser = add_command(
        subparsers, "predict", _predict, "predict the classes of images",
        "Exit codes: 0 if all images were read, 1 if some could not be read (their rows show why), 2 for a wrong call.")
    parser.add_argument("sources", nargs="*", metavar="SOURCE",
                        help="a file, a folder and its subfolders, a glob, a URL, or - for an image on standard input")
    parser.add_argument("--files-from", metavar="FILE",
                        help="a file that lists more sources, one per line; - is standard input")
    parser.add_argument("--model", required=True, help=MODEL_OR_FOLDER)
    add_registry(parser)
    parser.add_argument("--offline", action="store_true", help="use the version that was pulled before")
    add_format(parser)
    parser.add_argument("--top", type=_top, default=5, metavar="N",
                        help="show the N most probable classes, or 'all' (default: 5)")
    style = parser.add_mutually_exclusive_group()
    style.add_argument("--json", dest="style", action="store_const", const="json", help="print a JSON object per line")
    style.add_argument("--csv", dest="style", action="store_const", const="csv",
                       help="print CSV with a column for every class")
    parser.add_argument("--plot", metavar="PNG", help="draw each image beside a bar chart of its most probable classes")
    parser.add_argument("--explain", metavar="PNG", help="the same, with a heat map of each image: without the parts "
                        "that are red, the model would be less sure of its answer")
    parser.add_argument("--allow-private-urls", action="store_true", help="also fetch URLs at private addresses")
    parser.set_defaults(style="text")


def _top(text: str) -> int | None:
    return None if text == "all" else whole_number(text, " or 'all'")


def _predict(arguments: argparse.Namespace) -> int:
    from graft.cli.predict import main

    return main(arguments)


def _add_serve(subparsers: Subparsers) -> None:
    parser = add_command(subparsers, "serve", _serve, "serve predictions over HTTP, with a web page; or reports",
                         "Needs the extra `serve`: pip install 'graft[serve]'.")
    served = parser.add_mutually_exclusive_group(required=True)
    served.add_argument("model", nargs="?", help=MODEL_OR_FOLDER)
    served.add_argument("--reports", action="store_true", help="serve the reports of all versions in the registry")
    add_registry(parser)
    add_format(parser)
    parser.add_argument("--host", default="127.0.0.1",
                        help="the address to listen on; 0.0.0.0 is all addresses (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="the port; 0 is any free one (default: %(default)s)")
    parser.add_argument("--name", dest="names", metavar="NAME", action="append", default=[],
                        help="also answer requests to this host name, such as a proxy's; may be repeated")
    parser.add_argument("--poll", type=_seconds, default=30, metavar="SECONDS",
                        help="how often to look for another version of the model (default: %(default)s)")
    parser.add_argument("--heif", action="store_true",
                        help="also read HEIC and HEIF files, by one more decoder in C; needs the extra `heif`")
    parser.add_argument("--log", metavar="PLACE", help="keep figures of the answers, and no images, in a folder or at "
                        "s3://bucket/prefix, for `graft watch`")
    parser.add_argument("--collect", metavar="PLACE", help="keep unknown and unsure images and a random hundredth of "
                        "all, with their answers, in a folder or at s3://bucket/prefix")
    parser.add_argument("--collect-per-day", type=whole_number, default=500, metavar="N",
                        help="how many images a day, half of them at random (default: %(default)s)")
    parser.add_argument("--collect-metadata", action="store_true",
                        help="keep the files as they come, with place and camera, also GIF, TIFF and HEIC")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, received '{text}'")
    return seconds


def _serve(arguments: argparse.Namespace) -> None:
    try:
        from graft.server.app import serve, serve_reports
        from graft.watch.recorder import Keeping
    except ModuleNotFoundError as error:
        raise GraftError(f"`graft serve` needs the package '{error.name}': pip install 'graft[serve]'") from error
    if arguments.reports:
        serve_reports(arguments.registry, arguments.host, arguments.port, arguments.names)
        return
    keeping = Keeping(arguments.log, arguments.collect, arguments.collect_per_day, arguments.collect_metadata)
    serve(arguments.model, arguments.registry, arguments.host, arguments.port, arguments.poll, arguments.format,
          arguments.names, keeping, arguments.heif)


if __name__ == "__main__":
    main()
