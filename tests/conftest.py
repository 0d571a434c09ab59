"""Fixtures that several test files share."""

import pytest
from prefect_server import prefect_server  # noqa: F401
from registries import ceph, real, registry  # noqa: F401


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """See `tiny_project`. It takes a minute, so all tests that only look at it share one."""
    from tiny_project import make_tiny_project

    return make_tiny_project(tmp_path_factory.mktemp("tiny"))
