"""The command line of a benchmark. `--help` prints the module's docstring."""

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks import machine


def begin(doc: str, *folders: str, **options) -> argparse.Namespace:
    """Read the options, then print the machine: its figures mean little without it. Arguments as in `read_options`."""
    arguments = read_options(doc, *folders, **options)
    print(f"{machine.facts()}\n", flush=True)
    return arguments


def read_options(doc: str, *folders: str, **options) -> argparse.Namespace:
    """Parse the command line.

    Args:
        doc: the benchmark's docstring.
        folders: names of the positional arguments, each a path.
        options: name of each option -> default. A type instead of a default makes the option required; a boolean adds
            `--no-NAME`; a tuple lists the allowed values, all used by default.
    """
    parser = _parser(doc)
    for folder in folders:
        parser.add_argument(folder, type=Path)
    for name, default in options.items():
        parser.add_argument(f"--{name}", **_settings(default))
    return parser.parse_args()


def run_parts(doc: str, **parts: Callable[[], None]) -> None:
    """Run the parts of a benchmark that the command line names, by default all."""
    parser = _parser(doc)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(parts)}; default: all")
    named = parser.parse_args().parts
    if unknown := [name for name in named if name not in parts]:
        parser.error(f"unknown part: {', '.join(unknown)}. Expected any of {', '.join(parts)}")
    print(f"{machine.facts()}\n", flush=True)
    for name in named or parts:
        parts[name]()


def _parser(doc: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)


def _settings(default) -> dict:
    if isinstance(default, type):
        return {"type": default, "required": True}
    if isinstance(default, bool):
        return {"action": argparse.BooleanOptionalAction, "default": default}
    kind = {"nargs": "+", "choices": default} if isinstance(default, tuple) else {"type": type(default)}
    return {**kind, "default": default, "help": "default: %(default)s"}
