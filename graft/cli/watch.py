"""The subcommand `graft watch`."""

import argparse

from graft.cli.arguments import MODEL, Subparsers, add_command, add_registry, say
from graft.errors import GraftError


def add_commands(subparsers: Subparsers) -> None:
    """Declare it."""
    parser = add_command(
        subparsers, "watch", _watch, "compare a model's answers in use with those to its test images",
        "Reads what `graft serve --log PLACE` and batch prediction wrote. Exit codes: 0 if nothing has changed, or "
        "nothing can be said; 1 if the answers have drifted.")
    parser.add_argument("model", help=f"{MODEL}; a name alone means the version that answered last")
    parser.add_argument("place", metavar="PLACE", help="a folder, or s3://bucket/prefix")
    parser.add_argument("--page", metavar="HTML", help="also write a page")
    add_registry(parser)


def _watch(arguments: argparse.Namespace) -> int:
    from graft.watch.comparison import DRIFTED, watch
    from graft.watch.page import as_text, make_page

    found = watch(arguments.model, arguments.place, arguments.registry)
    say(as_text(found))
    if arguments.page:
        from graft.machine.files import whole

        try:
            with whole(arguments.page) as unfinished:
                unfinished.write_text(make_page(found), encoding="utf-8")
        except OSError as error:
            raise GraftError(f"--page {arguments.page} cannot be written: {error.strerror or error}") from error
    return int(found.verdict == DRIFTED)
