"""How many cores this process may use: under `taskset` or in a container, fewer than the machine has."""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def cpu_count(root: Path = Path("/")) -> int:
    """The cores that the scheduler allows this process, or the CPU quota of its container, rounded up; at least 1.

    Args:
        root: where Linux mounts `proc` and `sys`; other systems have neither, and no quota.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min([allowed, *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """The quota of each control group that this process is in, in cores. Those of the groups above hold as well.

    Inside a container the group's path may be the host's, which is not mounted there: then the mount itself counts.
    """
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for _, controllers, path in (line.split(":", 2) for line in groups):
        if not controllers or "cpu" in controllers.split(","):              # version 2 names no controllers
            mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
            group = PurePosixPath(path.lstrip("/"))
            yield from (_quota(mount / each) for each in (group, *group.parents))


def _quota(group: Path) -> float:
    """One control group's quota; infinite when it has none."""
    try:
        if (group / "cpu.max").exists():                                    # version 2: "150000 100000" or "max 100000"
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError):
        return math.inf
