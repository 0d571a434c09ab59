"""Runs what uses a store one call at a time, in an order that the test chooses: every interleaving can be tried.

    world = World(MemoryStore())
    publisher = world.start(lambda: publish(...))      # stands before its first call of the store
    publisher.step()                                    # one call
    publisher.finish()
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from unittest.mock import patch

from graft.store import Missing, Store, StoreError
from graft.store.contract import Stored

USERS = ("publication", "garbage", "promotion", "inspection", "withdrawal")


class MemoryStore(Store):
    """A store in a dictionary, with a clock that the test turns."""

    address = "memory"

    def __init__(self):
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.clock = datetime(2026, 1, 1, tzinfo=UTC)

    def create(self, key, data):
        return key not in self.objects and self.replace(key, data) is None

    def replace(self, key, data):
        self.objects[key] = data if isinstance(data, bytes) else data.read_bytes(), self.clock

    def read(self, key, start, length):
        if key not in self.objects:
            raise Missing(key)
        return self.objects[key][0][start:start + length]

    def stat(self, key):
        data, modified = self.objects.get(key, (b"", None))
        return modified and Stored(key, len(data), modified)

    def scan(self, prefix):
        return iter([self.stat(key) for key in sorted(self.objects) if key.startswith(prefix)])

    def folders(self, prefix):
        return sorted({key[len(prefix):].split("/")[0] for key in self.objects if key.startswith(prefix)})

    def delete(self, key):
        self.objects.pop(key, None)

    def now(self):
        return self.clock

    def link(self, key, media_type):
        return key


class Killed(BaseException):
    """Ends an actor where it stands."""


class Actor:
    """A thread that stops before each call of the store. Its own helpers, which only read, do not stop.

    Attributes:
        before: the name of the call that it stands before, and the call's first argument.
        result: what its work returned; None before, and if it failed or was killed.
        error: what its work raised.
    """

    def __init__(self, world: "World", work: Callable):
        self.before: tuple[str, object] = ("", None)
        self.result = self.error = None
        self.is_late = False                # its next DELETE is done when the world delivers it, and not answered
        self._go, self._stands, self._is_killed = threading.Semaphore(0), threading.Semaphore(0), False
        self.thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        world.stores[self.thread] = _Stepped(world, self)
        self.thread.start()
        self._stands.acquire()

    @property
    def is_running(self) -> bool:
        return self.result is None and self.error is None

    def step(self, calls: int = 1) -> None:
        for _ in range(calls):
            if self.is_running:
                self._go.release()
                self._stands.acquire()

    def finish(self):
        while self.is_running:
            self.step()
        return self.result

    def until(self, name: str, part: str = "") -> bool:
        """Go on until it stands before a call of this name whose first argument contains `part`."""
        while self.is_running and not (self.before[0] == name and part in str(self.before[1])):
            self.step()
        return self.is_running

    def kill(self) -> None:
        self._is_killed = True
        self.finish()

    def wait(self, name: str, argument: object) -> None:
        if threading.current_thread() is self.thread:
            self.before = name, argument
            self._stands.release()
            self._go.acquire()
            if self._is_killed:
                raise Killed

    def _run(self, work: Callable) -> None:
        try:
            self.result = work()
        except BaseException as error:      # noqa: BLE001
            self.error = error
        self._stands.release()


class World:
    """A store, the actors that use it, and the removals that were sent and are not done yet."""

    def __init__(self, store: Store):
        self.store, self.late = store, list[str]()
        self.stores: dict[threading.Thread, Store] = {}
        self.actors: list[Actor] = []
        self._patches = [patch(f"graft.registry.{user}.open_store", self._open) for user in USERS]
        for each in self._patches:
            each.start()

    def start(self, work: Callable) -> Actor:
        self.actors.append(Actor(self, work))
        return self.actors[-1]

    def deliver(self) -> None:
        """Do the removals that are late."""
        while self.late:
            self.store.delete(self.late.pop())

    def close(self) -> None:
        for each in self.actors:
            each.kill()
        for each in self._patches:
            each.stop()

    def _open(self, address: str) -> Store:
        return self.stores.get(threading.current_thread(), self.store)


class _Stepped(Store):
    def __init__(self, world: World, actor: Actor):
        self.world, self.actor, self.address = world, actor, world.store.address

    def delete(self, key):
        self.actor.wait("delete", key)
        if self.actor.is_late:
            self.world.late.append(key)
            raise StoreError("no answer")
        self.world.store.delete(key)

    def now(self):
        return self.world.store.now()

    def sweep(self, before):
        return self.world.store.sweep(before)


def _stepped(name: str) -> Callable:
    def call(self, *arguments):
        self.actor.wait(name, arguments[0])
        return getattr(self.world.store, name)(*arguments)

    return call


for _name in ("create", "replace", "read", "stat", "scan", "folders", "link"):
    setattr(_Stepped, _name, _stepped(_name))
_Stepped.__abstractmethods__ = frozenset()
