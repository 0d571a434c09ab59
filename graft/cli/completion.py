"""The subcommand `completion`: print the script by which a shell completes `graft`."""

import argparse
from functools import partial

from graft.cli.arguments import Subparsers, add_command

FILES = ("SOURCE", "FILE", "PNG", "PEM", "JSON", "FOLDER", "PLACE", "HTML")     # metavars of files and folders
WHERE = {
    "bash": "~/.local/share/bash-completion/completions/graft", "zsh": "~/.zfunc/_graft, with ~/.zfunc in $fpath",
    "fish": "~/.config/fish/completions/graft.fish",
}


def add_commands(subparsers: Subparsers, whole: argparse.ArgumentParser) -> None:
    """Declare this subcommand, which completes the `whole` command line."""
    places = "; ".join(f"{shell}: {place}" for shell, place in WHERE.items())
    parser = add_command(subparsers, "completion", partial(_completion, whole),
                         "print the script by which a shell completes graft",
                         f"Write it where your shell looks for it. {places}.")
    parser.add_argument("shell", choices=[*WHERE])


def _completion(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    import shtab

    [commands] = [each.choices for each in parser._actions if isinstance(each.choices, dict)]
    for command in commands.values():
        for action in command._actions:
            if action.metavar in FILES:
                action.complete = shtab.FILE
    print(shtab.complete(parser, arguments.shell))
