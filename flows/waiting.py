"""Say that something still runs, as long as it says nothing itself."""

import contextvars
import threading
import time
from collections.abc import Callable

EVERY_S = 4.0           # checked each fifth of it, so that nothing is silent for five seconds


class Waiting:
    """A context in which `say` is called whenever nothing was heard for `EVERY_S` seconds.

    Args:
        what: runs, such as a stage's name.
        say: takes a line, in the context of the caller: Prefect finds its server there.
    """

    def __init__(self, what: str, say: Callable[[str], None]):
        self.what, self.say = what, say
        self._began_s = self._heard_s = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=contextvars.copy_context().run, args=(self._tell,), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def heard(self, line: str) -> None:
        """Pass on a line that was said meanwhile."""
        self._heard_s = time.monotonic()
        self.say(line)

    def _tell(self) -> None:
        while not self._ended.wait(EVERY_S / 5):
            now_s = time.monotonic()
            if now_s - self._heard_s >= EVERY_S:
                self._heard_s = now_s
                self.say(f"{self.what}: running for {now_s - self._began_s:.0f} s")
