"""Work beside what must not wait."""

import threading

from graft.machine.background import Background


def test_what_is_too_much_is_refused_at_once_and_taken_again_when_there_is_room():
    done, free, begun = [], threading.Event(), threading.Event()

    def hold():
        begun.set()
        free.wait()

    background = Background(most=3)
    assert background.put(hold, 2) and begun.wait()
    assert background.put(lambda: done.append("small"))
    assert not background.put(lambda: done.append("too much"))
    free.set()
    background.put(lambda: 1 / 0, 0)            # the thread goes on
    background.put(lambda: done.append("last"), 0)
    background.close()
    assert done == ["small", "last"]


def test_it_is_asked_between_and_does_not_wait_for_what_does_not_end():
    asked, held = threading.Event(), threading.Event()
    background = Background(most=1, between=asked.set, at_most_s=0.01)
    assert asked.wait(10)
    background.put(held.wait)
    background.close(within_s=0.01)
    held.set()


def test_a_failure_between_the_items_does_not_end_the_thread():
    failed, done = threading.Event(), threading.Event()

    def between():
        failed.set()
        raise OSError("no space left")

    background = Background(1, between, at_most_s=0.01)
    assert failed.wait(60)
    assert background.put(done.set) and done.wait(60)
    background.close()
