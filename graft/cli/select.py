"""The subcommand `graft select`."""

import argparse
import sys

from graft.cli.arguments import MODEL_OR_FOLDER, Subparsers, add_command, add_format, add_registry, say, whole_number

ALL_READ, SOME_UNREADABLE = 0, 1       # exit codes, as those of `graft predict`


def add_commands(subparsers: Subparsers) -> None:
    """Declare it."""
    parser = add_command(
        subparsers, "select", _select, "choose the images from whose labels a model would learn most",
        "Prints their answers as `graft predict` does, the most useful image first: one unknown to the model or of "
        "which it is unsure, unlike what it has learnt and unlike those before it. Exit codes: those of "
        "`graft predict`.")
    parser.add_argument("sources", nargs="+", metavar="FOLDER",
                        help="a folder of images and its subfolders; also a file, a glob or a URL")
    parser.add_argument("--count", type=whole_number, default=50, metavar="N",
                        help="how many images to choose (default: %(default)s)")
    parser.add_argument("--model", required=True, help=MODEL_OR_FOLDER)
    add_registry(parser)
    parser.add_argument("--offline", action="store_true", help="use the version that was pulled before")
    add_format(parser)
    style = parser.add_mutually_exclusive_group()
    style.add_argument("--json", dest="style", action="store_const", const="json", help="print a JSON object per line")
    style.add_argument("--csv", dest="style", action="store_const", const="csv",
                       help="print CSV with a column for every class")
    parser.set_defaults(style="text")


def _select(arguments: argparse.Namespace) -> int:
    from graft.machine.cores import cpu_count
    from graft.predict.decoders import Decoders
    from graft.predict.find import load
    from graft.predict.ranking import choose
    from graft.predict.sources import expand, name_others
    from graft.predict.writers import WRITERS

    sources, others = expand(arguments.sources)
    with Decoders(min(cpu_count(), len(sources))) as decoders:      # they start while the model is loaded
        classifier = load(arguments.model, arguments.format, registry=arguments.registry, offline=arguments.offline)
        chosen, unreadable = choose(classifier, sources, arguments.count, decoders)
    write = WRITERS[arguments.style](sys.stdout, classifier.class_names)
    for each in [*chosen, *unreadable]:
        write(each)
    if others:
        say(name_others(others), is_note=True)
    if unreadable:
        say(f"{len(unreadable)} of {len(sources)} images could not be read", is_note=True)
    return SOME_UNREADABLE if unreadable else ALL_READ
