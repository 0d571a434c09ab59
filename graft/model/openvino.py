"""Import OpenVINO without its reporter, which tells its makers of each import over the network."""

import sys
from types import ModuleType
from typing import Any

REPORTER = "openvino_telemetry"


def load() -> ModuleType:
    """The library, which does without the reporter if that cannot be imported."""
    modules: dict[str, Any] = sys.modules
    is_hidden = REPORTER not in modules
    if is_hidden:
        modules[REPORTER] = None            # Python's own mark of a module that cannot be imported
    try:
        import openvino
    finally:
        if is_hidden:
            del modules[REPORTER]
    return openvino
