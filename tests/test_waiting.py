"""The lines that are said while something runs."""

import contextvars
import time

from flows import waiting

address = contextvars.ContextVar("address", default="another server's")


def test_what_is_said_meanwhile_is_said_in_the_context_of_the_run(monkeypatch):
    """Prefect keeps a run's settings there. Without them, a log line would start a second server."""
    monkeypatch.setattr(waiting, "EVERY_S", 0.02)
    address.set("the run's")
    said = []
    with waiting.Waiting("stage", lambda line: said.append((line, address.get()))):
        while not said:
            time.sleep(0.01)
    assert said[0] == ("stage: running for 0 s", "the run's")
