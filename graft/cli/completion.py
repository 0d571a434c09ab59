"""The scripts by which shells complete `graft`."""

import argparse

FILES = ("SOURCE", "FILE", "PNG", "PEM", "JSON", "FOLDER")      # metavars of arguments that are files or folders
WHERE = {       # shell -> where it looks for the script
    "bash": "~/.local/share/bash-completion/completions/graft", "zsh": "~/.zfunc/_graft, with ~/.zfunc in $fpath",
    "fish": "~/.config/fish/completions/graft.fish",
}


def make_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script by which a shell, a key of `WHERE`, completes the command of this parser."""
    import shtab

    [commands] = [each.choices for each in parser._actions if isinstance(each.choices, dict)]
    for command in commands.values():
        for action in command._actions:
            if action.metavar in FILES:
                action.complete = shtab.FILE
    return shtab.complete(parser, shell)
