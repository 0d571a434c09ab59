"""Declarations that several subcommands share."""

import argparse
import sys
from collections.abc import Callable

from graft.errors import LINES, printable

Subparsers = argparse._SubParsersAction
REGISTRY = "s3://bucket/prefix or a folder (default: the environment variable GRAFT_REGISTRY, otherwise ./registry)"
NAME = "the model's name, optionally with its registry"
MODEL = "NAME, NAME@ALIAS or NAME@NUMBER, optionally with its registry, as in s3://bucket/prefix/NAME@champion"
MODEL_OR_FOLDER = f"a model's folder, imagenet:NETWORK (such as imagenet:MobileNetV2), or {MODEL}"


def add_command(
    subparsers: Subparsers, name: str, run: Callable[[argparse.Namespace], int | None], summary: str, more: str = "",
) -> argparse.ArgumentParser:
    """Declare a subcommand.

    Args:
        run: runs it and returns its exit code; None is 0.
        summary: what it does, for the list of commands and its own help.
        more: sentences to add to its own help.
    """
    description = f"{summary[0].upper()}{summary[1:]}. {more}"
    parser = subparsers.add_parser(name, help=summary, description=description.rstrip())
    parser.set_defaults(run=run)
    return parser


def add_registry(parser: argparse.ArgumentParser) -> None:
    """Declare `--registry`."""
    parser.add_argument("--registry", help=REGISTRY)


def add_format(parser: argparse.ArgumentParser) -> None:
    """Declare `--format`."""
    from graft.model.bundle import FORMATS

    parser.add_argument("--format", choices=[*FORMATS], default="onnx",
                        help="the export format to run, if the model was published in it (default: onnx)")


def whole_number(text: str, other: str = "") -> int:
    """Parse a whole number from 1; `other` says in a message what else was possible."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1{other}, received '{text}'")
    return int(text)


def add_public_key(parser: argparse.ArgumentParser, action: str) -> None:
    """Declare `--public-key`; `action` says what happens without a signature, such as `refuse a version`."""
    parser.add_argument("--public-key", metavar="PEM",
                        help=f"{action} not signed with the matching private key (default: the environment variable "
                             "GRAFT_PUBLIC_KEY, which every command demands that fetches a model)")


def say(text: str, is_note: bool = False) -> None:
    """Print text that may contain words of others, such as keys and reasons; a note goes to standard error."""
    print(printable(text, LINES), file=sys.stderr if is_note else sys.stdout)
