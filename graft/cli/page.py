"""The subcommand `page`: write a page that classifies pictures in the browser."""

import argparse
import shlex

from graft.cli.arguments import MODEL_OR_FOLDER, Subparsers, add_command, add_registry, say


def add_commands(subparsers: Subparsers) -> None:
    """Declare this subcommand."""
    parser = add_command(
        subparsers, "page", _page, "write a folder of static files that classifies pictures in the browser",
        "Any web server or static host can serve it. Pictures stay on the device that shows the page, and once opened "
        "over https it opens without a network. The first page fetches 33 MB from npm's registry.")
    parser.add_argument("model", help=MODEL_OR_FOLDER)
    parser.add_argument("folder", metavar="FOLDER", help="a new folder, or that of an earlier page, which is replaced")
    add_registry(parser)
    parser.add_argument("--offline", action="store_true", help="use the version that was pulled before")
    parser.add_argument("--runtime", metavar="FILE", help="onnxruntime-web as `npm pack` fetches it, for machines "
                        "without internet (default: fetched once from npm_config_registry or npm's public registry)")


def _page(arguments: argparse.Namespace) -> None:
    from graft.browser.folder import write_page

    page = write_page(arguments.model, arguments.folder, registry=arguments.registry, offline=arguments.offline,
                      runtime=arguments.runtime)
    for note in page.notes:
        say(f"note: {note}", is_note=True)
    say(f"{page.folder}: a page for {page.model}, {page.size_bytes / 1e6:.1f} MB")
    say(f"To try it: python3 -m http.server --directory {shlex.quote(str(page.folder))}")
