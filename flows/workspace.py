"""Where a deployed run works."""

import os
from pathlib import Path

import flows


def enter() -> dict[str, str]:
    """Enter the checkout that the worker was installed from: a pull step of prefect.yaml, run before the flow loads."""
    checkout = Path(flows.__file__).resolve().parent.parent
    os.chdir(checkout)
    return {"directory": str(checkout)}
