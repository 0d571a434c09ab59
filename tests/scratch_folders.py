"""Folders for what outlives a test, such as a server's files; they end with the process, whoever asked for them."""

import atexit
import shutil
import tempfile
from pathlib import Path


def scratch_folder(prefix: str) -> Path:
    """An empty folder with a short path, as sockets need it. Ask for it before you register what still writes there."""
    folder = tempfile.mkdtemp(prefix=prefix)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
