"""Say which tests still run when none has ended for some seconds: a test may take minutes."""

import threading
import time

EVERY_S = 2.5       # two of them in a row are silent at most


class Heartbeat:
    """A plugin of pytest, for the process that prints; with pytest-xdist it hears of the tests in the others.

    Args:
        say: prints a line.
    """

    def __init__(self, say):
        self.say, self.running = say, {}        # node id -> when it began
        self._is_quiet, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def pytest_sessionstart(self):
        self._thread.start()

    def pytest_sessionfinish(self):
        self._ended.set()
        self._thread.join()

    def pytest_runtest_logstart(self, nodeid):
        self.running[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid):
        self.running.pop(nodeid, None)
        self._is_quiet.clear()

    def _tell(self) -> None:
        while not self._ended.wait(EVERY_S):
            if self._is_quiet.is_set() and (running := dict(self.running)):
                self.say("; ".join(f"{name} {time.monotonic() - began_s:.0f} s" for name, began_s in running.items()))
                self._is_quiet.clear()
            else:
                self._is_quiet.set()
