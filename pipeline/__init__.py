"""How models are made, as a library: only those who make models install what it needs.

Some of its libraries report to their makers over the network unless told otherwise before they are imported.
"""

import os

for _name, _value in {"GX_ANALYTICS_ENABLED": "false", "ORT_DISABLE_TELEMETRY": "1", "RAY_USAGE_STATS_ENABLED": "0",
                      "DO_NOT_TRACK": "1", "DVC_NO_ANALYTICS": "1"}.items():
    os.environ.setdefault(_name, _value)
