"""The state of this checkout in git."""

import subprocess

from graft.errors import GraftError


def git(*arguments: str) -> str:
    """Run a git command and return its output, stripped.

    Raises:
        GraftError: if git is not installed, or fails, with git's message.
    """
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()
    except OSError:
        raise GraftError("git is not installed. Install it: DVC and a model's provenance need it.") from None
    except subprocess.CalledProcessError as error:
        raise GraftError(f"`git {' '.join(arguments)}` failed: {error.stderr.strip()}") from None


def state(ignored: list[str]) -> dict:
    """The commit of the code, and whether tracked files differ from it.

    Args:
        ignored: names or patterns of files whose changes do not count, wherever they are.

    Returns:
        `commit` and `dirty`; if git failed, both are None, and `git` is its message.
    """
    try:
        others = [f":(top,exclude,glob)**/{pattern}" for pattern in ignored]
        changes = git("status", "--porcelain", "--untracked-files=no", "--", *others)
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changes)}
    except GraftError as error:
        return {"commit": None, "dirty": None, "git": str(error)}
