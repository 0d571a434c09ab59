"""WHEN and WHERE: the only importer of Prefect.

Prefect reads its settings when it is imported, so this module first sets those that the user has not chosen.
"""

import contextlib
import os
from pathlib import Path

SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",     # the first start migrates a database: 20 s or more
    "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
}
LOOPBACK = ("localhost", "127.0.0.1", "::1")

for name, value in SETTINGS.items():
    os.environ.setdefault(name, value)
direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""     # of two, libraries heed the first
if direct.strip() != "*":                   # a proxy cannot reach the servers of this machine
    os.environ |= dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join([*filter(None, [direct]), *LOOPBACK]))
try:
    Path.home()
except RuntimeError:                        # in a container, the user may have no name: Prefect and DVC need a folder
    home = Path(".graft/user").absolute()
    with contextlib.suppress(OSError):      # `preflight.check_server` explains it
        home.mkdir(parents=True, exist_ok=True)
    os.environ["HOME"] = str(home)
