import time

import pytest

from pipeline.training import pace


def slowly(items, seconds):
    for item in items:
        time.sleep(seconds)
        yield item


def test_it_tells_which_side_is_the_slower():
    watch = pace.Pace()
    assert list(watch.inputs(slowly(range(5), 0.02))) == list(range(5))
    assert "input-bound" in watch.report(5, "views")
    watch = pace.Pace()
    for _ in watch.inputs(range(5)):
        time.sleep(0.02)
    assert "compute-bound" in watch.report(5, "views")
    assert watch.report(1234, "views").startswith("1,234 views in 0.")


def test_ahead_keeps_the_order_and_tells_of_errors():
    assert list(pace.ahead(lambda number: number * number, range(7), count=3)) == [n * n for n in range(7)]
    with pytest.raises(ZeroDivisionError):
        list(pace.ahead(lambda number: 1 / number, [1, 0, 1]))


def test_ahead_is_at_most_so_many_ahead():
    made = []
    items = pace.ahead(made.append, range(10), count=2)
    next(items)
    time.sleep(0.05)
    assert len(made) <= 3


@pytest.mark.parametrize(("seconds", "said"), [(4.21, "4.2 s"), (31, "31 s"), (720, "12 min"), (12600, "3.5 h")])
def test_durations_are_said_as_people_say_them(seconds, said):
    assert pace.duration(seconds) == said
