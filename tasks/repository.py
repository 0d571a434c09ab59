"""What git knows of this checkout."""

import subprocess

from graft.errors import GraftError


def git(*arguments: str) -> str:
    """The output of a git command, without the space around it.

    Raises:
        GraftError: when git is not installed or refuses; with git's reason.
    """
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()
    except OSError:
        raise GraftError("git is not installed. Install it: DVC and the record of where a model comes from need it."
                         ) from None
    except subprocess.CalledProcessError as error:
        raise GraftError(f"`git {' '.join(arguments)}` failed: {error.stderr.strip()}") from None


def state(ignored: list[str]) -> dict:
    """The commit of the code, and whether files that git tracks differ from it; None for what git does not say.

    Args:
        ignored: patterns of files whose changes do not count.

    Returns:
        `commit`, `dirty`, and where git failed its reason as `git`.
    """
    try:
        changes = git("status", "--porcelain", "--untracked-files=no", "--", *[f":!{pattern}" for pattern in ignored])
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changes)}
    except GraftError as error:
        return {"commit": None, "dirty": None, "git": str(error)}
