"""WHEN and WHERE: the only importer of Prefect, whose settings are chosen here, where the user has chosen nothing.

Prefect reads them while it is imported, which is why they stand before anything else.
"""

import os

SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",     # a first start migrates a database: 20 s and more
    "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
}
for name, value in SETTINGS.items():
    os.environ.setdefault(name, value)
