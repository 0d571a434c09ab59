"""The number of cores, against what Linux's files say in containers of both versions of control groups."""

import os

import fresh
import pytest

from graft.machine.cores import cpu_count
from pipeline.code import ROOT

ALLOWED = cpu_count()
V2 = "sys/fs/cgroup/{}/cpu.max"
V1 = "sys/fs/cgroup/cpu/{}/cpu.cfs_quota_us", "sys/fs/cgroup/cpu/{}/cpu.cfs_period_us"


def machine(folder, groups: str, **files: str):
    """A root with these files."""
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def many(monkeypatch):
    """A machine of 64 cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)


@pytest.mark.parametrize(("quota", "cores"), [
    ("max 100000", 64), ("150000 100000", 2), ("50000 100000", 1), ("400000 100000", 4), ("12800000 100000", 64)])
def test_version_2_in_a_container(many, tmp_path, quota, cores):
    assert cpu_count(machine(tmp_path, "0::/\n", **{V2.format("."): quota + "\n"})) == cores


def test_version_2_takes_the_lowest_quota_of_all_groups_above(many, tmp_path):
    root = machine(tmp_path, "0::/system.slice/docker.service/task\n", **{
        V2.format("system.slice/docker.service/task"): "max 100000\n",
        V2.format("system.slice/docker.service"): "300000 100000\n", V2.format("system.slice"): "800000 100000\n"})
    assert cpu_count(root) == 3


@pytest.mark.parametrize("group", ["/", "/docker/0123abcd"])
@pytest.mark.parametrize(("quota", "cores"), [("-1", 64), ("250000", 3)])
def test_version_1_whether_its_path_is_the_hosts_or_not(many, tmp_path, group, quota, cores):
    files = dict(zip((each.format(".") for each in V1), (quota + "\n", "100000\n")))
    groups = f"5:memory:/other\n4:cpu,cpuacct:{group}\n1:name=systemd:/x\n0::/system.slice\n"
    assert cpu_count(machine(tmp_path, groups, **files)) == cores


def test_without_linuxs_files_the_machines_cores_count(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert cpu_count(tmp_path) == 5
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cpu_count(tmp_path) == 1


def test_nothing_else_counts_cores_or_forks():
    words = ("os.cpu_count", "from os import cpu_count", "sched_getaffinity", "os.fork", "preexec_fn", '"fork"')
    roots = [ROOT / name for name in ("graft", "pipeline", "tasks", "flows", "starter", "benchmarks")]
    files = [path for root in roots for path in root.rglob("*.py") if path != ROOT / "graft/machine/cores.py"]
    assert len(files) > 100
    assert [(path, word) for path in files for word in words if word in path.read_text(encoding="utf-8")] == []


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_the_scheduler_may_allow_fewer():
    program = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n" \
              "from graft.machine.cores import cpu_count; print(cpu_count())"
    assert fresh.run(program) == "1\n"
    assert 1 <= ALLOWED <= os.cpu_count()
