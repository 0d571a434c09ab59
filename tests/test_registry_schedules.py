"""`gc` beside publishers, call by call: whatever the order, a version that was published has all its files.

The oracle is a reader: it fetches every file of the version and compares its sha256.
"""

import hashlib
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from registries import bundle
from schedules import MemoryStore, World

from graft.registry import blobs, gc, log, manifest, publish, verify
from graft.store import open_store

NAME = "colours"


@pytest.fixture
def world():
    world = World(abandoned())
    yield world
    world.close()


def abandoned(store=None):
    """A store with the files of one version, older than any upload, that no version needs."""
    store = store or MemoryStore()
    world = World(store)
    publish(bundle(1), NAME, store.address)
    world.close()
    store.delete(manifest.key_of(NAME, 1))
    if isinstance(store, MemoryStore):
        store.clock += timedelta(days=2)
    return store


def is_whole(store, number: int) -> bool:
    files = manifest.read(store, NAME, number).all_files.values()
    read = [blobs.of_first_copy(store, file, lambda key: store.read(key, 0, 1 << 20)) for file in files]
    return [hashlib.sha256(data or b"").hexdigest() for data in read] == [file.sha256 for file in files]


def calls(work) -> int:
    world, number = World(abandoned()), 0
    actor = world.start(work)
    while actor.is_running:
        actor.step()
        number += 1
    world.close()
    return number


def publisher():
    return publish(bundle(1), NAME, "memory")


def collector():
    return gc("memory", delete=True)


def test_either_stops_anywhere_until_the_other_has_come_as_far_as_it_likes():
    """All orders in which each of the two is interrupted once: the collector's last requests are the late ones."""
    lengths = calls(publisher), calls(collector)
    for begins in range(lengths[0]):
        for comes in range(lengths[1] + 1):
            world = World(abandoned())
            first, second = world.start(publisher), world.start(collector)
            first.step(begins)
            second.step(comes)
            published = first.finish()
            second.finish()
            assert is_whole(world.store, published.version), (begins, comes)
            world.close()
    assert lengths == (18, 10)


def test_two_publishers_and_two_collectors_are_done_when_the_removals_come(world):
    publishers = [world.start(publisher) for _ in range(2)]
    collectors = [world.start(collector) for _ in range(2)]
    for each in (*publishers, *collectors):
        each.step(6)
    assert all(each.until("delete", "blobs/") for each in collectors)
    numbers = {each.finish().version for each in publishers}
    for each in collectors:
        each.finish()
    assert all(is_whole(world.store, number) for number in numbers)
    assert any(key.endswith(".1") for key in world.store.objects)
    assert verify("memory").is_sound


def test_on_a_real_store_a_removal_comes_after_the_publication(real, monkeypatch):
    store = abandoned(open_store(real))
    now, world = store.now, World(store)
    monkeypatch.setattr(store, "now", lambda: now() + timedelta(days=2))
    collects = world.start(lambda: gc(real, delete=True))
    publishes = world.start(lambda: publish(bundle(1), NAME, real))
    assert publishes.until("create", "manifest.json")
    assert collects.until("delete", "blobs/")
    number = publishes.finish().version
    collects.finish()
    assert is_whole(store, number)
    assert verify(real).findings == []
    world.close()


@settings(max_examples=25, stateful_step_count=30, deadline=None)
class Registry(RuleBasedStateMachine):
    """Publishers and collectors that are stopped, killed and answered late, while days pass."""

    actors = Bundle("actors")

    def __init__(self):
        super().__init__()
        self.world = World(abandoned())

    @initialize(target=actors)
    def two_at_once(self):
        return multiple(self.world.start(publisher), self.world.start(collector))

    @rule(target=actors, seed=st.sampled_from([1, 2]))
    def publish(self, seed):
        return self.world.start(lambda: publish(bundle(seed), NAME, "memory"))

    @rule(target=actors, keep=st.sampled_from([1, 5]))
    def collect(self, keep):
        return self.world.start(lambda: gc("memory", keep=keep, days=0, delete=True))

    @rule(actor=actors, calls=st.integers(1, 6))
    def go_on(self, actor, calls):
        actor.step(calls)

    @rule(actor=actors, call=st.sampled_from([("create", "manifest.json"), ("create", ".gone"), ("delete", "blobs/")]))
    def come_to_a_write(self, actor, call):
        actor.step()
        actor.until(*call)

    @rule(actor=actors)
    def finish(self, actor):
        actor.finish()

    @rule(actor=actors)
    def lose_an_answer(self, actor):
        actor.is_late = True

    @rule(actor=actors)
    def kill(self, actor):
        actor.kill()

    @rule()
    def deliver(self):
        self.world.deliver()

    @rule()
    def two_days_pass(self):
        self.world.store.clock += timedelta(days=2)

    @invariant()
    def what_was_published_is_whole(self):
        deleted = log.head(self.world.store, NAME).deleted
        published = {actor.result.version for actor in self.world.actors if hasattr(actor.result, "version")}
        assert all(is_whole(self.world.store, number) for number in published - {*deleted})

    def teardown(self):
        for actor in self.world.actors:
            actor.finish()
        self.what_was_published_is_whole()
        self.world.deliver()
        self.what_was_published_is_whole()
        for seed in (1, 2):         # completes what a killed publisher left unfinished
            publish(bundle(seed), NAME, "memory")
        assert verify("memory").is_sound
        self.world.close()


test_any_order = Registry.TestCase
