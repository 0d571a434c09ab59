"""Fixtures that several test files share, and what is shown of the processes that tests start."""

import os
import subprocess

import pytest
import work_units
from heartbeat import Heartbeat
from prefect_server import own_prefect_server, prefect_server  # noqa: F401
from registries import ceph, real, registry  # noqa: F401

PROCESS_LIMIT_S = 900       # below pyproject.toml's limit of a test, which ends the tests and shows no process's output


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """See `work_units`."""
    return work_units.scheduler(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items):
    """See `work_units`; the order within a file stays."""
    items.sort(key=lambda item: work_units.place(item.path.stem))


def pytest_configure(config):
    """The process that prints, and none of its workers, names what runs for long."""
    def say(text: str) -> None:
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        reporter.ensure_newline()
        reporter.write_line(text)

    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Heartbeat(say))


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """See `tiny_project`: a copy for each process, whose tests leave it as it was."""
    from tiny_project import copied, shared_tiny_project

    run = tmp_path_factory.getbasetemp()
    run = run.parent if "PYTEST_XDIST_WORKER" in os.environ else run
    return copied(shared_tiny_project(run / "tiny"), tmp_path_factory.mktemp("project") / "project")


@pytest.fixture(scope="session", autouse=True)
def dvc_leaves_nothing(tmp_path_factory):
    """DVC keeps a folder for every repository that it has ever seen, by default in /var/tmp."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path_factory.mktemp("dvc")))
        yield


@pytest.fixture(scope="session", autouse=True)
def limited_processes():
    """Let `subprocess.run` end in any case, so that what a process said until it hung is shown."""
    run = subprocess.run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "run", lambda *command, timeout=PROCESS_LIMIT_S, **options:
                      run(*command, timeout=timeout, **options))
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show what a process said that failed or did not end."""
    report = yield
    error = call.excinfo.value if call.excinfo else None
    if isinstance(error, subprocess.CalledProcessError | subprocess.TimeoutExpired):
        for name in ("stdout", "stderr"):
            if said := getattr(error, name):
                text = said if isinstance(said, str) else said.decode(errors="replace")
                report.sections.append((f"{name} of the process", text))
    return report
