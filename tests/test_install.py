"""What `make setup` decides before it installs: which GPU is there, whether it is used, and how much disk it needs."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.code import ROOT

spec = importlib.util.spec_from_file_location("install", ROOT / "requirements/install.py")
install = importlib.util.module_from_spec(spec)
spec.loader.exec_module(install)

NOT_USED = "no GPU is used: {}. To use it: {}, then `rm -rf .venv && make setup`"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Make a machine whose nvidia-smi, a stand-in, runs a line of shell; None for no such command. No GPU is needed."""
    def make(smi: str | None, driver: bool = True) -> None:
        if smi is not None:
            (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{smi}\n")
            (tmp_path / "nvidia-smi").chmod(0o755)
        if driver:
            (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15")
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(install, "DRIVER", tmp_path / "version")
    monkeypatch.delenv("GPU", raising=False)
    return make


def test_a_machine_without_a_gpu_gets_the_packages_for_processors(machine):
    machine(smi=None, driver=False)
    assert install.find_gpu() == (None, "no NVIDIA GPU here: TensorFlow will use the processor")
    assert install.requirements(None) == ["-r", "requirements/dev.txt"]


def test_a_gpu_with_a_driver_gets_cuda(machine, monkeypatch, tmp_path):
    machine('[ "$*" = "--query-gpu=name,driver_version --format=csv,noheader" ] && '
            "echo 'NVIDIA L4, 550.54.15' && echo 'NVIDIA T4, 550.54.15'")
    assert install.find_gpu() == ("NVIDIA L4", "NVIDIA L4 found: with CUDA's libraries")
    monkeypatch.setattr(install, "ENVIRONMENT", tmp_path)
    *files, option, excluded = install.requirements("NVIDIA L4")
    assert files == ["-r", "requirements/dev.txt", "-r", "requirements/gpu.txt"]
    assert (option, Path(excluded).read_text()) == ("--excludes", "tensorflow-cpu\n")
    monkeypatch.setenv("GPU", "no")
    assert install.find_gpu() == (None, "GPU=no: TensorFlow will use the processor")


@pytest.mark.parametrize("smi, why, what", [
    (None, "{driver} names a driver, but there is no command nvidia-smi", "install nvidia-utils"),
    ("echo 'NVIDIA-SMI has failed: no driver' >&2; exit 9", "nvidia-smi: NVIDIA-SMI has failed: no driver",
     "repair the driver"),
    ("echo 'No devices were found'", "nvidia-smi: No devices were found", "repair the driver"),
    ("echo 'Tesla K80, 470.82.01'", "the driver of Tesla K80 is version 470", "update it to 525 or newer")])
def test_a_gpu_that_cannot_be_used_is_said_with_what_to_do(machine, tmp_path, smi, why, what):
    machine(smi)
    assert install.find_gpu() == (None, NOT_USED.format(why.format(driver=tmp_path / "version"), what))


def test_both_lists_lock_the_same_versions():
    """They are installed together on a machine with a GPU."""
    locked = {name: dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / f"requirements/{name}.txt").read_text(), re.M))
              for name in ("dev", "gpu")}
    both = locked["dev"].keys() & locked["gpu"].keys()
    assert len(both) > 200 and "tensorflow" in both and "tensorflow-cpu" in locked["dev"]
    assert {name for name in both if locked["dev"][name] != locked["gpu"][name]} == set()


def test_a_full_disk_stops_before_anything_is_written(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"the packages need 99999999 GB of disk, and \S+ has \d+\.\d GB free\. Free"):
        install.check_disk(99_999_999)
    assert list(tmp_path.iterdir()) == []


def test_what_takes_long_says_what_it_does_and_what_fails_is_shown(monkeypatch, capsys):
    monkeypatch.setattr(install, "EVERY_S", 0.2)
    install.run("waiting", "sh", "-c", "sleep 0.3; echo 'Resolved 3 packages in 1ms'; echo ' + one==1'; sleep 0.5")
    said = [line.split(" s ", 1)[1] for line in capsys.readouterr().out.splitlines()]
    assert said[0] == "waiting" and said[-1] == "Resolved 3 packages in 1ms"
    with pytest.raises(SystemExit, match="no such package\nerror: `sh -c .* …` failed, as the lines above say"):
        install.run("waiting", "sh", "-c", "echo no such package; exit 3")


def test_it_needs_no_package():
    """It runs before anything is installed: `-S` hides what is."""
    program = "import runpy; runpy.run_path('requirements/install.py')"
    assert subprocess.run([sys.executable, "-S", "-c", program], cwd=ROOT).returncode == 0
