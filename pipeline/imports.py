"""Import a library without the optional ones that it would bring along, and that nothing here uses through it."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def hidden(*libraries: str, **stand_ins: ModuleType) -> Iterator[None]:
    """Let imports of some libraries fail in this block, as if they were not installed. Those already imported stay.

    The garbage collector rests meanwhile, which would take a fifth of the time and find nothing; later it leaves out
    what was imported.

    Args:
        libraries: top-level names.
        stand_ins: library -> an empty module to import in its place, if its absence would be an error.
    """
    hidden = {name: value for name, value in {**dict.fromkeys(libraries), **stand_ins}.items()
              if name not in sys.modules}
    sys.modules.update(hidden)          # None is Python's own mark of a module that cannot be imported
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
        for name in hidden:
            del sys.modules[name]
