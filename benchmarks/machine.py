"""The machine that figures are measured on."""

import os
import platform
from importlib.metadata import distributions
from pathlib import Path

from graft.machine.cores import cpu_count

PACKAGES = ("keras", "tensorflow-cpu", "tensorflow", "onnxruntime")


def facts() -> str:
    """One line: processor, cores, memory, bfloat16 units, package versions and load average."""
    cpuinfo = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    entries = dict(line.split(":", 1) for line in cpuinfo.splitlines() if ":" in line)
    entries = {name.strip(): value.strip() for name, value in entries.items()}
    family = "family {cpu family}, model {model}".format(**entries) if "model" in entries else platform.machine()
    flags = entries.get("flags", "").split()
    units = [flag for flag in ("avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (f"{entries.get('model name', platform.processor())} ({family}; {', '.join(units) or 'no bfloat16 units'}), "
            f"{cpu_count()} cores, {memory_gb:.0f} GB; Python {platform.python_version()}, {_versions()}; "
            f"load average {os.getloadavg()[0]:.1f} before the start")


def _versions() -> str:
    installed = {each.name.replace("_", "-"): each.version for each in distributions()}
    return ", ".join(f"{name} {installed[name]}" for name in PACKAGES if name in installed)
