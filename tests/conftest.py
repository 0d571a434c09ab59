"""Fixtures that several test files share, and what is shown of the processes that tests start."""

import subprocess

import pytest
from heartbeat import Heartbeat
from prefect_server import prefect_server  # noqa: F401
from registries import ceph, real, registry  # noqa: F401

PROCESS_LIMIT_S = 900       # below pyproject.toml's limit of a test, which ends the tests and shows no process's output


def pytest_configure(config):
    """Let the process that prints, and no worker of pytest-xdist, name what runs for long."""
    def say(text: str) -> None:
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        reporter.ensure_newline()
        reporter.write_line(text)

    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Heartbeat(say))


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """See `tiny_project`. It takes a minute, so all tests that only look at it share one."""
    from tiny_project import make_tiny_project

    return make_tiny_project(tmp_path_factory.mktemp("tiny"))


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
