"""What is said while a test runs for long."""

import queue

import heartbeat


def test_a_long_test_is_named_until_it_ends(monkeypatch):
    monkeypatch.setattr(heartbeat, "EVERY_S", 0.01)
    said = queue.Queue()
    beat = heartbeat.Heartbeat(said.put)
    beat.pytest_sessionstart()
    beat.pytest_runtest_logstart("test_it.py::test_long")
    assert said.get(timeout=60) == "test_it.py::test_long 0 s"
    beat.pytest_runtest_logfinish("test_it.py::test_long")
    beat.pytest_sessionfinish()
    assert not beat.running
