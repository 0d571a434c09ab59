"""What a figure was measured on: said above every table, because it decides on half of what stands in it."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("keras", "tensorflow-cpu", "tensorflow", "onnxruntime")


def facts() -> str:
    """One line: processor, cores, memory, bfloat16 units, versions, and how busy the machine is with other things."""
    cpuinfo = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    entries = dict(line.split(":", 1) for line in cpuinfo.splitlines() if ":" in line)
    entries = {name.strip(): value.strip() for name, value in entries.items()}
    family = "family {cpu family}, model {model}".format(**entries) if "model" in entries else platform.machine()
    flags = entries.get("flags", "").split()
    units = [flag for flag in ("avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (f"{entries.get('model name', platform.processor())} ({family}; {', '.join(units) or 'no bfloat16 units'}), "
            f"{os.cpu_count()} cores, {memory_gb:.0f} GB; Python {platform.python_version()}, {_versions()}; "
            f"load average before the start {os.getloadavg()[0]:.1f}")


def _versions() -> str:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except ModuleNotFoundError:
            continue
    return ", ".join(found)
