"""One client's images, costly or many, do not hold up another's."""

import threading
from concurrent.futures import Future

import pytest
from test_decoding_budget import grey_png
from tiny_bundle import make_images

from graft.errors import UnreadableImage
from graft.server import lanes
from graft.server.lanes import InTurn, Job, Lanes


def job(client: str, data: bytes = b"") -> Job:
    answer: Future = Future()
    return Job(client, data, (8, 8), answer, answer.set_result)


def test_clients_are_served_in_turn_each_in_its_own_order():
    queue, jobs = InTurn(), {name: [job(name) for _ in range(3)] for name in "ab"}
    last = job("c")
    for each in (*jobs["a"], *jobs["b"], last):
        queue.put(each)
    taken = [queue.take() for _ in range(7)]
    assert [each.client for each in taken] == ["a", "b", "c", "a", "b", "a", "b"]
    assert [each for each in taken if each.client == "a"] == jobs["a"]


def test_closing_lets_nobody_wait():
    queue, taken = InTurn(), []
    thread = threading.Thread(target=lambda: taken.append(queue.take()))
    thread.start()
    queue.close()
    thread.join(20)
    assert taken == [None]


@pytest.fixture
def small(tmp_path):
    return (make_images(tmp_path, images=1) / "red/00.png").read_bytes()


def test_what_is_too_slow_for_the_first_lane_is_read_in_the_second(small, monkeypatch):
    monkeypatch.setattr(lanes, "QUICK_S", 0.2)
    both = Lanes()
    costly = [job("costly", grey_png(10_000, 10_000))]
    honest = [job("honest", small) for _ in range(3)]
    for each in (*costly, *honest):
        both.put(each)
    assert all(each.answer.result(60).shape == (8, 8, 3) for each in honest)
    assert all(each.answer.result(60).shape == (8, 8, 3) for each in costly)
    assert list(both._slow_until) == ["costly"]
    both.close()


def test_what_does_not_end_in_the_second_lane_either_is_refused_and_what_nobody_waits_for_left_out(monkeypatch):
    monkeypatch.setattr(lanes, "QUICK_S", 0.1)
    monkeypatch.setattr(lanes, "PROCESSOR_S", 0.2)
    both, costly = Lanes(), grey_png(10_000, 10_000)
    given_up = job("a", costly)
    given_up.answer.cancel()
    waiting = job("a", costly)
    for each in (given_up, waiting):
        both.put(each)
    assert isinstance(waiting.answer.result(60), UnreadableImage)
    both.close()
