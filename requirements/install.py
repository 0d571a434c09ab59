"""Install the locked packages into .venv: what `make setup` runs, with the Python that the environment is to have.

Nothing but Python's own library is used here. A line every five seconds says what goes on.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

ENVIRONMENT = Path(".venv")
BIN = ENVIRONMENT / "bin"
EVERY_S = 5.0
OLDEST_DRIVER = 525             # the first major version that runs CUDA 12, which requirements/gpu.txt has
DISK_GB = {"dev": 4, "gpu": 9}     # what the packages take
DRIVER = Path("/proc/driver/nvidia/version")        # there is none in WSL, where only nvidia-smi tells
LONGEST_S = 30                  # a driver in trouble lets nvidia-smi hang


def find_gpu() -> tuple[str | None, str]:
    """The NVIDIA GPU that TensorFlow can use here, or None; and a line that says what was found.

    `make setup GPU=no` leaves a GPU alone.
    """
    smi = shutil.which("nvidia-smi")
    if not (smi or DRIVER.exists()):
        return None, "no NVIDIA GPU here: TensorFlow will use the processor"
    if os.environ.get("GPU") == "no":
        return None, "GPU=no: TensorFlow will use the processor"
    if sys.platform != "linux":
        return None, "TensorFlow uses NVIDIA GPUs on Linux only: it will use the processor"
    if not smi:
        return None, _not_used(f"{DRIVER} names a driver, but there is no command nvidia-smi", "install nvidia-utils")
    return _usable(smi)


def _usable(smi: str) -> tuple[str | None, str]:
    """The first GPU that `nvidia-smi` lists, unless its driver is too old."""
    command = [smi, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, _not_used(f"nvidia-smi does not work ({error})", "repair the driver")
    found = re.match(r"(.+), (\d+)[\d.]*$", done.stdout.strip(), re.MULTILINE)
    if done.returncode or not found:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no GPU listed"]
        return None, _not_used(f"nvidia-smi: {said[-1]}", "repair the driver")
    if int(found[2]) < OLDEST_DRIVER:
        why = f"the driver of {found[1]} is version {found[2]}"
        return None, _not_used(why, f"update it to {OLDEST_DRIVER} or newer")
    return found[1], f"{found[1]} found: with CUDA's libraries"


def _not_used(why: str, what: str) -> str:
    return f"no GPU is used: {why}. To use it: {what}, then `rm -rf {ENVIRONMENT} && make setup`"


def requirements(gpu: str | None) -> list[str]:
    """The arguments of `uv pip install`: for a GPU, another TensorFlow in place of the one for processors."""
    if gpu is None:
        return ["-r", "requirements/dev.txt"]
    excluded = ENVIRONMENT / "excluded.txt"
    excluded.write_text("tensorflow-cpu\n")
    return ["-r", "requirements/dev.txt", "-r", "requirements/gpu.txt", "--excludes", str(excluded)]


def check_disk(needed_gb: int) -> None:
    """End with a message if the disk has no room for the packages."""
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    if free < needed_gb and not (BIN / "pip").exists():
        sys.exit(f"error: the packages need {needed_gb} GB of disk, and {Path.cwd()} has {free:.1f} GB free. Free some "
                 "space, or clone to another disk")


def run(what: str, *command: str) -> None:
    """Run a command, and say every five seconds what it is doing. If it fails, show its output and end.

    Args:
        what: is done, for as long as the command itself says nothing.
    """
    said: list[str] = []
    began_s = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    reader = threading.Thread(target=lambda: said.extend(iter(process.stdout.readline, "")), daemon=True)
    reader.start()
    while reader.is_alive():
        reader.join(EVERY_S)
        if reader.is_alive():
            print(f"           {time.monotonic() - began_s:.0f} s {_latest(said) or what}", flush=True)
    if process.wait():
        sys.exit("".join(said[-20:]) + f"error: `{' '.join(command[:4])} …` failed, as the lines above say")


def _latest(said: list[str]) -> str:
    """The newest phase that uv or pip named, without the names of single packages."""
    phases = [line.strip() for line in said if re.match(r" *([A-Z]\w+ed|Downloading|Collecting) ", line)]
    return phases[-1].replace("Installed", "compiling what was installed:") if phases else ""


def main() -> None:
    """Make the environment and install everything into it."""
    gpu, found = find_gpu()
    needed = DISK_GB["gpu" if gpu else "dev"]
    check_disk(needed)
    print(f"setup      {found}")
    print(f"setup 1/3  an environment of Python {platform.python_version()} in {ENVIRONMENT}: seconds", flush=True)
    if not (BIN / "pip").exists():      # .venv without pip is what an interrupted start leaves
        run("making it", sys.executable, "-m", "venv", str(ENVIRONMENT))
    run("installing uv", str(BIN / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--require-hashes",
        "-r", "requirements/uv.txt")
    names = "requirements/dev.txt" + " and gpu.txt" * bool(gpu)
    print(f"setup 2/3  the packages of {names}: {needed} GB of disk, a few minutes, most of them for the download",
          flush=True)
    install = (str(BIN / "uv"), "pip", "install", "--python", str(BIN / "python"))
    # uv compiles the bytecode, because otherwise each process of the pipeline starts several seconds later
    run("asking the package index", *install, "--compile-bytecode", "--require-hashes", *requirements(gpu))
    print("setup 3/3  graft itself: seconds", flush=True)
    run("building", *install, "--no-deps", "--no-build-isolation", "--editable", ".")


if __name__ == "__main__":
    main()
